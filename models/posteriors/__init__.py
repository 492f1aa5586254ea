"""Posteriors over the linear head, one method a file. Every one is a distribution over (8 C, F + 1) weight matrices."""

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from models.posteriors.laplace import LaplacePosterior
from models.posteriors.point import PointPosterior


class HeadPosterior(Protocol):
    """mean: (8 C, F + 1), weights with the bias as the last column. sample: n draws, the same for the same seed."""

    @property
    def mean(self) -> Tensor: ...

    def sample(self, n: int, *, seed: int) -> Tensor: ...


Loader = Callable[[Tensor, Mapping[str, Tensor]], HeadPosterior]

POSTERIORS: Mapping[str, Loader] = {
    "point": PointPosterior.from_state,
    "laplace": LaplacePosterior.from_state,
}
"""Name in a bundle's metadata -> how to build the posterior from the head (8 C, F + 1) and the saved state."""
