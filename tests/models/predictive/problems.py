"""Small images with a head, samples of it and a prior, and their predictive by brute force in double precision."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import Tensor

from models.network import SUBVOXELS
from models.posteriors.gaussian import GaussianPosterior
from models.predictive import HELD, Predictive, augment, predict

C, F = 5, 4
BRAIN = torch.tensor([False, False, True, True, True])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    features: Tensor
    mean: Tensor
    samples: Tensor
    ratio: Tensor
    temperature: float

    def predict(self, law: GaussianPosterior | None = None, points: int = 2, held: float = HELD) -> Predictive:
        return predict(
            self.features,
            self.mean,
            self.samples,
            self.ratio,
            BRAIN,
            temperature=self.temperature,
            law=law,
            points=points,
            held=held,
        )


def problem(
    *,
    n: int = 60,
    samples: int = 6,
    scale: float = 1.0,
    spread: float = 0.4,
    temperature: float = 1.0,
    seed: int = 0,
) -> Problem:
    generator = torch.Generator().manual_seed(seed)
    mean = scale * torch.randn(SUBVOXELS * C, F + 1, generator=generator)
    return Problem(
        features=augment(torch.randn(F, n, generator=generator)),
        mean=mean,
        samples=mean + spread * torch.randn(samples, *mean.shape, generator=generator),
        ratio=torch.exp(torch.randn(C - 1, n, generator=generator)),
        temperature=temperature,
    )


def probability(p: Problem, head: Tensor, *, prior: bool = True) -> np.ndarray:
    """Softmax, temperature and prior among the healthy classes alone, as the rule is written: (C, 8, N) float64."""
    divided = (head.double() @ p.features.double()).view(C, SUBVOXELS, -1).numpy()
    lesion = special.softmax(divided * p.temperature, axis=0)[-1:]
    ratio = p.ratio.double().numpy()[:, None] if prior else 1.0
    healthy = special.softmax(divided[:-1], axis=0) * ratio
    return np.concatenate([(1 - lesion) * healthy / healthy.sum(axis=0), lesion])


def entropy_of(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(np.maximum(p, 1e-300))).sum(axis=0)


def under_each_sample(p: Problem) -> np.ndarray:
    """(S, C, 8, N) float64."""
    return np.stack([probability(p, sample) for sample in p.samples])
