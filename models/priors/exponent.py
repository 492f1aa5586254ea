"""The exponents of the prior, the temperature and the offsets of classes, fitted together as a convex problem.

Given that a voxel is healthy brain, the rule of `models.priors.fusion` is a softmax over the brain's classes of
  s l_c + u log pi_c + v log(pi_c / f_c) + b_c,
with l the logits, pi the atlas, f the class frequencies of the training images, and
  T = 1 / s,   beta = u + v,   pi_train ~ f^gamma,   gamma = v / (u + v).
A network trained by cross-entropy alone has learnt f, gamma 1; one trained by the Dice loss counts every class alike,
gamma 0, and draws small structures too large: that is what the offsets b take back, as the bias of vector scaling does
(Guo et al. 2017, ICML, section 4.2). It is a conditional logit (McFadden 1974, eq. 12): minus its log-likelihood is a
log-sum-exp of linear functions less a linear one, convex in (s, u, v, b), as is the box s > 0, u >= 0, v >= 0. In T
and gamma themselves it is not convex.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

Bounds = Sequence[tuple[float, float]]
FREE: Bounds = ((0.05, 20.0), (0.0, 10.0), (0.0, 10.0))
"""Of (s, u, v); without bounds of their own, offsets are 0."""
WITHOUT_PRIOR: Bounds = (FREE[0], (0.0, 0.0), (0.0, 0.0))
FARTHEST_NATS = 10.0


def with_offsets(subjects: "Sequence[Choices]") -> Bounds:
    """FREE, but for gamma, which offsets take in; and an offset for each class that is labelled anywhere.

    Only their differences count, so the first one's is 0; so is that of a class of which no label speaks.
    """
    labelled = torch.stack([torch.bincount(s.chosen, minlength=s.terms.shape[1]) for s in subjects]).sum(dim=0) > 0
    free = labelled & (labelled.cumsum(dim=0) > 1)
    offsets = [(-FARTHEST_NATS, FARTHEST_NATS) if each else (0.0, 0.0) for each in free.tolist()]
    return (FREE[0], FREE[1], (0.0, 0.0), *offsets)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choices:
    """Labelled voxels of one subject. terms: (3, C, n) logits, log pi, log(pi / f). chosen: (n,) int64 in [0, C)."""

    terms: Tensor
    chosen: Tensor

    @classmethod
    def of(cls, logits: Tensor, atlas: Tensor, frequency: Tensor, chosen: Tensor) -> "Choices":
        """logits, atlas: (C, n) over the same classes. frequency: (C,). chosen: (n,)."""
        log_atlas = torch.log(atlas)
        return cls(terms=torch.stack([logits, log_atlas, log_atlas - torch.log(frequency)[:, None]]), chosen=chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponents:
    """temperature: T > 0. beta >= 0. gamma: exponent of the training frequencies in pi_train, [0, 1]; 0 at beta 0.

    offsets: b_c, nats, of every class in play; none where none were fitted.
    """

    temperature: float
    beta: float
    gamma: float
    offsets: tuple[float, ...] = ()

    @classmethod
    def at(cls, theta: NDArray[np.float64]) -> "Exponents":
        """theta: (3,) or (3 + C,), (s, u, v, b)."""
        s, u, v, *offsets = (float(x) for x in theta)
        return cls(temperature=1 / s, beta=u + v, gamma=v / (u + v) if u + v > 0 else 0.0, offsets=tuple(offsets))


def loss(theta: NDArray[np.float64], choices: Choices) -> tuple[float, NDArray[np.float64]]:
    """Mean of -log p(chosen) over the voxels of one subject, nats, and its gradient in theta, (3,) or (3 + C,)."""
    weights = torch.from_numpy(theta).to(choices.terms.dtype)
    scores = torch.tensordot(weights[:3], choices.terms, 1)
    if len(theta) > 3:
        scores += weights[3:, None]
    p = torch.softmax(scores, dim=0)
    at_chosen = choices.terms.gather(1, choices.chosen.expand(3, 1, -1)).double().mean(dim=(1, 2))
    mean = torch.einsum("jcn,cn->j", choices.terms, p).double() / len(choices.chosen)
    if len(theta) > 3:
        share = torch.bincount(choices.chosen, minlength=len(p)).double() / len(choices.chosen)
        at_chosen, mean = torch.cat([at_chosen, share]), torch.cat([mean, p.double().mean(dim=1)])
    value = float(torch.logsumexp(scores, dim=0).double().mean()) - float(at_chosen.numpy() @ theta)
    return value, (mean - at_chosen).numpy()


def mean_loss(theta: NDArray[np.float64], subjects: Sequence[Choices]) -> tuple[float, NDArray[np.float64]]:
    """`loss` averaged over subjects, each with the same weight: voxels of one subject are not independent."""
    values, slopes = zip(*(loss(theta, s) for s in subjects), strict=True)
    return math.fsum(values) / len(values), np.mean(slopes, axis=0)


def fit(subjects: Sequence[Choices], bounds: Bounds = FREE) -> tuple[NDArray[np.float64], float]:
    """theta of the smallest mean loss within bounds, and that loss, nats a voxel."""
    low, high = np.array(bounds).T
    options = {"ftol": 1e-10, "gtol": 1e-6}
    start = np.clip([1.0, 0.1, 0.1, *np.zeros(len(bounds) - 3)], low, high)
    found = optimize.minimize(mean_loss, start, (subjects,), "L-BFGS-B", jac=True, bounds=bounds, options=options)
    return found.x, float(found.fun)


def jackknife_error(
    subjects: Sequence[Choices], statistic: Callable[[Sequence[Choices]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Standard error of a statistic by leaving out one subject at a time; NaN for one subject.

    Source: Efron and Stein 1981, Ann. Stat. 9(3), eq. 1.4.
    """
    n = len(subjects)
    if n < 2:
        return np.full_like(statistic(subjects), math.nan)
    left = np.stack([statistic([s for k, s in enumerate(subjects) if k != out]) for out in range(n)])
    return np.asarray(np.sqrt((n - 1) / n * ((left - left.mean(axis=0)) ** 2).sum(axis=0)))
