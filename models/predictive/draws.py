"""Samples of the logits at some voxels, from whole heads or from a Gaussian over heads by quasi-Monte-Carlo."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from models.posteriors.gaussian import GaussianPosterior
from models.predictive.layout import by_voxel
from models.predictive.rule import SMALLEST

Draw = Callable[[int, list[int], Tensor], Tensor]
"""Which of the 8 voxels, classes (C), features (F + 1, n) -> logits (C, 1 + S, n), the first those of the mean head."""

SMALLEST_PIVOT = 1e-6


def from_heads(mean: Tensor, samples: Tensor) -> Draw:
    """The logits of S heads: exact for any posterior. mean: (8 C, F + 1); samples: (S, 8 C, F + 1)."""
    rows = by_voxel(torch.cat([mean[None], samples])).permute(2, 1, 0, 3).contiguous()

    def draw(voxel: int, classes: list[int], features: Tensor) -> Tensor:
        here = rows[voxel, classes]
        return (here.flatten(0, 1) @ features).view(*here.shape[:2], -1)

    return draw


def with_moments(mean: Tensor, samples: Tensor) -> GaussianPosterior:
    """The Gaussian around the mean head with the covariance of the samples: what more of them would be like."""
    return GaussianPosterior(mean=mean, sd=torch.zeros_like(mean), directions=(samples - mean) / len(samples) ** 0.5)


def from_gaussian(posterior: GaussianPosterior, points: int, *, seed: int) -> Draw:
    """Quasi-random points in the logits of each voxel, which are jointly Gaussian there: `points` a class in play, or
    more, up to a power of two.

    A voxel with C classes in play needs C - 1 dimensions, the differences of their logits, whatever the dimension of
    the weights: so few that a few points do what takes hundreds of heads drawn at random.
    """
    mean = by_voxel(posterior.mean).transpose(0, 1).contiguous()
    directions = by_voxel(posterior.directions).permute(2, 1, 0, 3).contiguous()
    variance = by_voxel(posterior.sd**2).transpose(0, 1).contiguous() if bool(posterior.sd.any()) else None
    sizes = {c: 2 ** math.ceil(math.log2(points * c)) for c in range(2, mean.shape[1] + 1)}
    z = {c: torch.cat([torch.zeros(1, c - 1), normal_points(n, c - 1, seed=seed)]) for c, n in sizes.items()}

    def draw(voxel: int, classes: list[int], features: Tensor) -> Tensor:
        base = mean[voxel, classes] @ features
        others, first = classes[1:], classes[0]
        apart = directions[voxel, others] - directions[voxel, first]
        spread = (apart.flatten(0, 1) @ features).view(len(others), -1, base.shape[1])
        if variance is not None:
            own = (variance[voxel, classes] @ features**2).sqrt_()
            each = torch.diag_embed(own[1:].T).permute(1, 2, 0)
            spread = torch.cat([spread, each, own[0].expand(len(others), 1, -1)], dim=1)
        moved = torch.baddbmm(base[1:, None], z[len(classes)].expand(len(others), -1, -1), cholesky(spread))
        return torch.cat([base[:1, None].expand(-1, moved.shape[1], -1), moved])

    return draw


def cholesky(rows: Tensor) -> Tensor:
    """Lower L with L L^T the Gram matrix of C rows at each of n voxels. rows: (C, K, n). Returns (C, C, n).

    Written over the classes, of which there are few, to run over the voxels, of which there are many. Where rows depend
    on one another, a pivot is rounding alone and its column zero.
    """
    lower = torch.zeros(len(rows), len(rows), rows.shape[2])
    for j, row in enumerate(rows):
        column = (rows[j:] * row).sum(dim=1)
        sound = SMALLEST_PIVOT * column[0]
        column -= (lower[j:, :j] * lower[j, :j]).sum(dim=1)
        lower[j:, j] = torch.where(column[0] > sound, column * column[0].clamp_min(SMALLEST).rsqrt(), 0)
    return lower


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
