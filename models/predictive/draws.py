"""Samples of the logits at some voxels, from whole heads or from a Gaussian over heads by quasi-Monte-Carlo."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from models.posteriors.gaussian import GaussianPosterior
from models.predictive.layout import by_voxel
from models.predictive.rule import BITS, SMALLEST

Draw = Callable[[int, list[int], Tensor], tuple[Tensor, Tensor]]
"""Which of the 8 voxels, classes in play (C), features (F + 1, n) -> log odds against the first class, bits,
(C - 1, 1 + S, n), and what each counts for, (1 + S,): first the mean head, which counts for nothing, then the samples.
"""

SMALLEST_PIVOT = 1e-10
NODES = 8
"""Of the lesion's logit, whose standard deviation reaches 3."""


def from_heads(mean: Tensor, samples: Tensor) -> Draw:
    """The logits of S heads: exact for any posterior. mean: (8 C, F + 1); samples: (S, 8 C, F + 1)."""
    rows = by_voxel(torch.cat([mean[None], samples])).permute(2, 1, 0, 3).contiguous() * BITS
    weight = _first_for_nothing(torch.full((len(samples),), 1 / len(samples)))

    def draw(voxel: int, classes: list[int], features: Tensor) -> tuple[Tensor, Tensor]:
        here = rows[voxel, classes[1:]] - rows[voxel, classes[0]]
        return (here.flatten(0, 1) @ features).view(*here.shape[:2], -1), weight

    return draw


def with_moments(mean: Tensor, samples: Tensor) -> GaussianPosterior:
    """The Gaussian around the mean head with the covariance of the samples: what more of them would be like."""
    return GaussianPosterior(mean=mean, sd=torch.zeros_like(mean), directions=(samples - mean) / len(samples) ** 0.5)


def from_gaussian(posterior: GaussianPosterior, points: int, *, seed: int) -> Draw:
    """Points in the log odds of each voxel, which are jointly Gaussian there; see `odds_points`.

    A voxel with C classes in play needs C - 1 dimensions, the differences of their logits, whatever the dimension of
    the weights: so few that a few points do what takes thousands of heads drawn at random.
    """
    mean = by_voxel(posterior.mean * BITS).transpose(0, 1).contiguous()
    directions = by_voxel(posterior.directions * BITS).permute(2, 1, 0, 3).contiguous()
    variance = by_voxel((posterior.sd * BITS) ** 2).transpose(0, 1).contiguous() if bool(posterior.sd.any()) else None
    lesion = mean.shape[1] - 1
    sizes = range(2, lesion + 2)
    rules = {(c, last): odds_points(c, points, lesion=last, seed=seed) for c in sizes for last in (False, True)}

    def draw(voxel: int, classes: list[int], features: Tensor) -> tuple[Tensor, Tensor]:
        ill = int(classes[-1] == lesion)
        # The factor's first row moves along the first dimension alone: the lesion, which has nodes of its own there.
        others, first = [*classes[-1:], *classes[1:-1]] if ill else classes[1:], classes[0]
        base = (mean[voxel, others] - mean[voxel, first]) @ features
        apart = directions[voxel, others] - directions[voxel, first]
        spread = (apart.flatten(0, 1) @ features).view(len(others), -1, base.shape[1])
        if variance is not None:
            own = (variance[voxel, [first, *others]] @ features**2).sqrt_()
            each = torch.diag_embed(own[1:].T).permute(1, 2, 0)
            spread = torch.cat([spread, each, own[0].expand(len(others), 1, -1)], dim=1)
        z, weight = rules[len(classes), bool(ill)]
        bits = torch.baddbmm(base[:, None], z.expand(len(others), -1, -1), cholesky(spread))
        return bits.roll(-ill, dims=0), weight

    return draw


def odds_points(classes: int, points: int, *, lesion: bool, seed: int) -> tuple[Tensor, Tensor]:
    """Points of a standard normal in C - 1 dimensions and their weights, (1 + S, C - 1) and (1 + S,), the first zero.

    Quasi-random: `points` a class, or more, up to a power of two. With the lesion the first dimension is its own and
    has NODES of Gauss and Hermite's rule, each with all the points of the others: so wide a spread is a matter of the
    tail, which points of equal weight miss.
    """
    healthy = classes - 2 if lesion else classes - 1
    n = 2 ** math.ceil(math.log2(points * (healthy + 1)))
    z = normal_points(n, healthy, seed=seed) if healthy else torch.zeros(1, 0)
    weight = torch.full((len(z),), 1 / len(z))
    if lesion:
        nodes, chances = (torch.from_numpy(each).float() for each in np.polynomial.hermite_e.hermegauss(NODES))
        z = torch.cat([nodes.repeat(len(z))[:, None], z.repeat_interleave(NODES, dim=0)], dim=1)
        weight = (weight[:, None] * chances / chances.sum()).flatten()
    return torch.cat([torch.zeros(1, classes - 1), z]), _first_for_nothing(weight)


def _first_for_nothing(weight: Tensor) -> Tensor:
    return torch.cat([torch.zeros(1), weight])


def cholesky(rows: Tensor) -> Tensor:
    """Lower L with L L^T the Gram matrix of C rows at each of n voxels. rows: (C, K, n). Returns (C, C, n).

    Written over the classes, of which there are few, to run over the voxels, of which there are many. Where rows depend
    on one another, a pivot is rounding alone and its column zero; in single precision rounding cannot be told from it.
    """
    rows = rows.double()
    lower = torch.zeros(len(rows), len(rows), rows.shape[2], dtype=rows.dtype)
    for j, row in enumerate(rows):
        column = (rows[j:] * row).sum(dim=1)
        sound = SMALLEST_PIVOT * column[0]
        column -= (lower[j:, :j] * lower[j, :j]).sum(dim=1)
        lower[j:, j] = torch.where(column[0] > sound, column * column[0].clamp_min(SMALLEST).rsqrt(), 0)
    return lower.float()


def normal_points(points: int, dimensions: int, *, seed: int) -> Tensor:
    """(points, dimensions) for expectations under a standard normal; points even and more than twice the dimensions.

    Scrambled Sobol points, each with its negative, then turned so that their covariance is exactly the identity: means
    of all polynomials up to the third degree are exact. Sources: Owen 1998, J. Complexity 14(4); Barraquand 1995,
    Management Science 41(12) (quadratic resampling).
    """
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
    half = torch.special.ndtri(engine.draw(points // 2, dtype=torch.float64).clamp(1e-9, 1 - 1e-9))
    factor = torch.linalg.cholesky(half.T @ half / len(half))
    matched = torch.linalg.solve_triangular(factor, half.T, upper=False).T
    return torch.cat([matched, -matched]).float()
