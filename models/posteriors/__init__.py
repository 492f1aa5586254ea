"""Posteriors over the linear head, one method a file. Every one is a distribution over (8 C, F + 1) weight matrices.

To add a method: write models/posteriors/<name>.py with a function `fit(head, images)` that returns a `HeadPosterior`,
one of those here (`PointPosterior`, `GaussianPosterior`, `HeadSamples`) or a frozen dataclass of its own, and add its
row to POSTERIORS. tests/contracts/test_posteriors.py then holds it to the promises below, on a small problem; a test
of its own compares it with brute force or an independent library.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from models.cells import Cells
from models.posteriors import (
    channel_gates,
    cyclical_sghmc,
    hmc,
    laplace,
    mc_dropout,
    mean_field,
    point,
    subject_bootstrap,
    swag,
    temperature,
)
from models.posteriors.channel_gates import GatesPosterior
from models.posteriors.gaussian import GaussianPosterior
from models.posteriors.heads import HeadSamples
from models.posteriors.mc_dropout import DropoutPosterior
from models.posteriors.point import PointPosterior


class HeadPosterior(Protocol):
    """mean: (8 C, F + 1), weights with the bias as the last column. sample: n draws, the same for the same seed.

    state: what `Method.load` builds it from again. Every tensor of it is in the unit of the weights, so that a state
    divided by a temperature is the state of the posterior whose logits are divided by it.
    """

    @property
    def mean(self) -> Tensor: ...

    @property
    def state(self) -> dict[str, Tensor]: ...

    def sample(self, n: int, *, seed: int) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """fit: the trained head (8 C, F + 1) and cells of many images -> posterior; the same for the same input.

    Cells of one subject are one cluster, whatever the number of its images. load: the posterior from its state.
    """

    fit: Callable[[Tensor, Sequence[Cells]], HeadPosterior]
    load: Callable[[Mapping[str, Tensor]], HeadPosterior]


POSTERIORS: Mapping[str, Method] = {
    "point": Method(fit=point.fit, load=PointPosterior.load),
    "temperature": Method(fit=temperature.fit, load=PointPosterior.load),
    "mc_dropout": Method(fit=mc_dropout.fit, load=DropoutPosterior.load),
    "mean_field": Method(fit=mean_field.fit, load=GaussianPosterior.load),
    "subject_bootstrap": Method(fit=subject_bootstrap.fit, load=HeadSamples.load),
    "laplace": Method(fit=laplace.fit, load=GaussianPosterior.load),
    "swag": Method(fit=swag.fit, load=GaussianPosterior.load),
    "cyclical_sghmc": Method(fit=cyclical_sghmc.fit, load=HeadSamples.load),
    "hmc": Method(fit=hmc.fit, load=HeadSamples.load),
    "channel_gates": Method(fit=channel_gates.fit, load=GatesPosterior.load),
}
"""Name in a bundle's metadata -> the method."""
