"""A Gaussian over heads: independent weights plus a few shared directions."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GaussianPosterior:
    """N(mean, diag sd^2 + sum_k d_k d_k^T). mean, sd: (8 C, F + 1). directions: (K, 8 C, F + 1)."""

    mean: Tensor
    sd: Tensor
    directions: Tensor

    def __post_init__(self) -> None:
        if self.directions.shape[1:] != self.mean.shape or self.sd.shape != self.mean.shape:
            raise ValueError(
                f"directions {tuple(self.directions.shape)} and sd {tuple(self.sd.shape)} "
                f"do not fit a head {tuple(self.mean.shape)}"
            )

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> "GaussianPosterior":
        """From what `state` gave; sd or directions may be absent."""
        mean = state["mean"]
        return cls(
            mean=mean,
            sd=state.get("sd", torch.zeros_like(mean)),
            directions=state.get("directions", mean.new_zeros(0, *mean.shape)),
        )

    @property
    def state(self) -> dict[str, Tensor]:
        """{"mean", "sd", "directions"}, shaped as the fields, without what is zero."""
        spread = {"sd": self.sd, "directions": self.directions}
        return {"mean": self.mean} | {k: v for k, v in spread.items() if bool(v.any())}

    def sample(self, n: int, *, seed: int) -> Tensor:
        """(n, 8 C, F + 1). The directions by scrambled Sobol points, which need fewer samples than random ones.

        Source: Buchholz, Wenzel and Mandt 2018, arXiv:1807.01604.
        """
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(n, *self.mean.shape, generator=generator)
        return self.mean + self.sd * noise + torch.einsum("nk,kij->nij", self._scores(n, seed), self.directions)

    def _scores(self, n: int, seed: int) -> Tensor:
        """(n, K) standard normal."""
        if not len(self.directions):
            return torch.zeros(n, 0)
        engine = torch.quasirandom.SobolEngine(len(self.directions), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        uniform = engine.draw(n, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        scores: Tensor = torch.special.ndtri(uniform).float()
        return scores
