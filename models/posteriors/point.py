"""The point estimate: the mode of the posterior, a network that knows no doubt about its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from models.cells import Cells
from models.posteriors.likelihood import DEFAULT, Target, as_head
from models.posteriors.mode import find_mode


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


def fit(head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT) -> PointPosterior:
    """The mode of the target. head: (8 C, F + 1), as trained."""
    return PointPosterior(mean=as_head(find_mode(head, images, target).blocks))
