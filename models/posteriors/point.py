"""The point estimate: a network that knows no doubt about its weights. The baseline of every comparison."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PointPosterior:
    """mean: (8 C, F + 1)."""

    mean: Tensor

    @classmethod
    def from_state(cls, head: Tensor, state: Mapping[str, Tensor]) -> "PointPosterior":
        """No state is needed."""
        return cls(mean=head)

    def sample(self, n: int, *, seed: int) -> Tensor:
        """(n, 8 C, F + 1), n times the mean."""
        return self.mean.expand(n, *self.mean.shape)
