"""A posterior that is a list of heads, each as likely as the next: what refits and Markov chains give."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadSamples:
    """heads: (S, 8 C, F + 1)."""

    heads: Tensor

    def __post_init__(self) -> None:
        if self.heads.ndim != 3 or not len(self.heads):
            raise ValueError(f"heads must be (S, 8 C, F + 1) with S >= 1, got {tuple(self.heads.shape)}")

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> "HeadSamples":
        """From what `state` gave."""
        return cls(heads=state["heads"])

    @property
    def state(self) -> dict[str, Tensor]:
        """{"heads": (S, 8 C, F + 1)}."""
        return {"heads": self.heads}

    @property
    def mean(self) -> Tensor:
        """(8 C, F + 1)."""
        return self.heads.mean(dim=0)

    def sample(self, n: int, *, seed: int) -> Tensor:
        """(n, 8 C, F + 1): the heads in random order, all of them before any comes again.

        So n = S gives each head once, and the mean over any multiple of S is exact.
        """
        generator = torch.Generator().manual_seed(seed)
        rounds = -(-n // len(self.heads))
        order = torch.cat([torch.randperm(len(self.heads), generator=generator) for _ in range(rounds)])
        return self.heads[order[:n]]
