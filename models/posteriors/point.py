"""The point estimate: the mode of the posterior, a network that knows no doubt about its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from models.cells import Cells


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointPosterior:
    """mean: (8 C, F + 1)."""

    mean: Tensor

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> "PointPosterior":
        """From what `state` gave."""
        return cls(mean=state["mean"])

    @property
    def state(self) -> dict[str, Tensor]:
        """{"mean": (8 C, F + 1)}."""
        return {"mean": self.mean}

    def sample(self, n: int, *, seed: int) -> Tensor:
        """(n, 8 C, F + 1), n times the mean."""
        return self.mean.expand(n, *self.mean.shape)


def fit(head: Tensor, images: Sequence[Cells]) -> PointPosterior:
    """The trained head, (8 C, F + 1), which is the mode of every posterior here (`models.posteriors.mode`)."""
    return PointPosterior(mean=head)
