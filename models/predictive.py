"""The posterior predictive of one image, from features computed once and samples of the linear head.

All arrays here are class-major over the 2 mm cells of the feature grid, (C, 8, N): one dense pass with the posterior
mean, then S samples on the voxels that can change: those whose entropy under the mean is above ACTIVE_NATS, or whose
log-odds of the best class lie within SAFE_SDS posterior SDs of a logit. The others keep their point value.
"""

import math
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.parallel import map_chunks

ACTIVE_NATS = 0.05
SAFE_SDS = 4.0
DENSE_CELLS = 8192
SAMPLED_VOXELS = 16384


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictive:
    """Voxel maps are cell-major, (8, N); `unfold` lays them out as (X, Y, Z).

    labels: uint8, argmax of the predictive. entropy, expected_entropy: nats.
    volumes: (S, C) float64, expected number of voxels of each class under each posterior sample.
    pairwise_dice: soft Dice over pairs of samples, averaged over pairs and the classes present, [0, 1].
    sampled: fraction of voxels sampled.
    """

    labels: Tensor
    entropy: Tensor
    expected_entropy: Tensor
    volumes: Tensor
    pairwise_dice: float
    sampled: float


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Per sample: sum of p and of p^2, (S, C); per pair of samples: sum of p_a p_b, (S // 2, C)."""

    mass: Tensor
    square: Tensor
    product: Tensor

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(self.mass + other.mass, self.square + other.square, self.product + other.product)


def augment(features: Tensor) -> Tensor:
    """(F, ...) features to (F + 1, N) with a row of ones for the bias."""
    flat = features.reshape(features.shape[0], -1)
    return torch.cat([flat, torch.ones(1, flat.shape[1], dtype=flat.dtype)])


def cell_probability(features: Tensor, head: Tensor) -> Tensor:
    """Mean class probability of each cell under one head. features: (F + 1, N); head: (8 C, F + 1). Returns (C, N)."""
    logits = [(head @ chunk).view(-1, SUBVOXELS, chunk.shape[1]) for chunk in torch.split(features, DENSE_CELLS, dim=1)]
    return torch.cat([torch.softmax(chunk, dim=0).mean(dim=1) for chunk in logits], dim=1)


def predict(features: Tensor, mean: Tensor, samples: Tensor, ratio: Tensor, brain: Tensor) -> Predictive:
    """Predictive of every voxel.

    features: (F + 1, N), last row ones. mean: (8 C, F + 1) head at the posterior mean. samples: (S, 8 C, F + 1).
    ratio: (C - 1, N) prior ratio rho of the healthy classes. brain: (C,) bool, classes over which means are taken.
    """
    labels = torch.empty(SUBVOXELS, features.shape[1], dtype=torch.uint8)
    entropy = torch.empty(labels.shape)
    active = torch.empty(labels.shape, dtype=torch.bool)
    changes = samples - mean

    def dense(part: slice) -> _Sums:
        logits = _shifted((mean @ features[:, part]).view(len(brain), SUBVOXELS, -1))
        p, entropy[:, part] = fused(logits, ratio[:, None, part])
        labels[:, part], best = _argmax(p)
        reach = SAFE_SDS * _logit_sd(features[:, part], changes)
        active[:, part] = (entropy[:, part] > ACTIVE_NATS) | (torch.logit(best) < reach)
        return _Sums(_total(p)[None], _total(p * p)[None], torch.zeros(()))

    point = _add_up(map_chunks(dense, _slices(features.shape[1], DENSE_CELLS)))
    expected = entropy.clone()

    def sampled(part: tuple[int, Tensor]) -> _Sums:
        voxel, cells = part
        average, within, sums = _sampled(
            features[:, cells], _of(mean, voxel), _of(changes, voxel).contiguous(), ratio[:, cells]
        )
        labels[voxel, cells], _ = _argmax(average)
        entropy[voxel, cells] = torch.special.entr(average).sum(dim=0)
        # Jensen: E H[p] <= H[E p]. The minimum is for rounding alone.
        expected[voxel, cells] = torch.minimum(within, entropy[voxel, cells])
        return sums

    nothing = _Sums(*(torch.zeros(n, len(brain)).double() for n in (len(samples), len(samples), len(samples) // 2)))
    moved = _add_up(map_chunks(sampled, _parts(active) if len(samples) else ()), nothing)
    mass, square = moved.mass + point.mass, moved.square + point.square
    return Predictive(
        labels=labels,
        entropy=entropy,
        expected_entropy=expected,
        volumes=mass,
        pairwise_dice=_soft_dice(mass, square, moved.product + point.square, brain),
        sampled=float(active.float().mean()),
    )


def fused(logits: Tensor, ratio: Tensor, log_ratio: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The rule of `models.priors.fusion` from logits, with the entropy in closed form (no logarithm a class).

    logits: (C, ...), lesion last, shifted so that exp() is safe. ratio: broadcasts to (C - 1, ...); log_ratio: its
    logarithm, which a caller with many samples takes once, since it costs as much as the exponential.
    Returns p (C, ...) and its entropy (...), nats.
    """
    p = torch.exp(logits)
    lesion = p[-1] / p.sum(dim=0)
    p[:-1] *= ratio
    evidence = p[:-1].sum(dim=0).clamp_min(1e-30)
    healthy = 1 - lesion
    scale = healthy / evidence
    p[:-1] *= scale
    p[-1] = lesion
    cross = (p[:-1] * (logits[:-1] + (torch.log(ratio) if log_ratio is None else log_ratio))).sum(dim=0)
    entropy = -healthy * torch.log(scale.clamp_min(1e-30)) - cross + torch.special.entr(lesion)
    return p, entropy.clamp_min_(0)


def unfold(cells: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(8, N) cell-major map to (2 I, 2 J, 2 K), N = I J K."""
    i, j, k = grid
    return cells.view(2, 2, 2, i, j, k).permute(3, 0, 4, 1, 5, 2).reshape(2 * i, 2 * j, 2 * k).contiguous()


def _sampled(features: Tensor, mean: Tensor, changes: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor, _Sums]:
    """One of the 8 voxels of n cells: mean probability (C, n), mean entropy (n,), each sample's sums less the point's.

    mean: (C, F + 1). changes: (S, C, F + 1) samples minus the mean.
    """
    base = _shifted(mean @ features)
    log_ratio = torch.log(ratio)
    p, _ = fused(base, ratio, log_ratio)
    point_mass, point_square = _total(p), _total(p * p)
    average, within = torch.zeros_like(base), torch.zeros(base.shape[1:])
    masses, squares, products = [], [], []
    previous = average
    for s, change in enumerate(changes):
        p, entropy = fused(torch.addmm(base, change, features), ratio, log_ratio)
        average += p
        within += entropy
        masses.append(_total(p) - point_mass)
        squares.append(_total(p * p) - point_square)
        if s % 2:
            products.append(_total(p * previous) - point_square)
        previous = p
    none = torch.zeros(0, len(point_mass), dtype=torch.float64)
    sums = _Sums(torch.stack(masses), torch.stack(squares), torch.stack(products) if products else none)
    return average / len(changes), within / len(changes), sums


def _logit_sd(features: Tensor, changes: Tensor) -> Tensor:
    """Posterior SD of a logit at each of n cells, averaged over the head's outputs: (n,), 0 without samples."""
    if not len(changes):
        return torch.zeros(features.shape[1])
    covariance = torch.einsum("soi,soj->ij", changes, changes) / (changes.shape[0] * changes.shape[1])
    return (features * (covariance @ features)).sum(dim=0).clamp_min(0).sqrt()


def _parts(active: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Chunks of the voxels to sample: which of the 8, and the cells. active: (8, N)."""
    for voxel in range(SUBVOXELS):
        cells = active[voxel].nonzero()[:, 0]
        yield from ((voxel, chunk) for chunk in torch.split(cells, SAMPLED_VOXELS) if len(chunk))


def _of(head: Tensor, voxel: int) -> Tensor:
    """The rows of one of the 8 voxels: (..., 8 C, F + 1) -> (..., C, F + 1)."""
    return head.view(*head.shape[:-2], -1, SUBVOXELS, head.shape[-1])[..., voxel, :]


def _slices(n: int, size: int) -> list[slice]:
    return [slice(start, min(n, start + size)) for start in range(0, n, size)]


def _add_up(sums: Iterable[_Sums], start: _Sums | None = None) -> _Sums:
    """The sum in the order given, so that it repeats to the last bit."""
    return reduce(operator.add, sums) if start is None else reduce(operator.add, sums, start)


def _shifted(logits: Tensor) -> Tensor:
    """Logits less their maximum over the classes, so that exp() cannot overflow."""
    return logits - logits.amax(dim=0)


def _argmax(p: Tensor) -> tuple[Tensor, Tensor]:
    """Argmax over the first axis, uint8, and the maximum.

    A running maximum is 5 times faster than torch.argmax over a strided axis.
    """
    best, label = p[0].clone(), torch.zeros(p.shape[1:], dtype=torch.uint8)
    for c in range(1, len(p)):
        label.masked_fill_(p[c] > best, c)
        torch.maximum(best, p[c], out=best)
    return label, best


def _total(p: Tensor) -> Tensor:
    return p.flatten(1).sum(dim=1).double()


def _soft_dice(mass: Tensor, square: Tensor, product: Tensor, brain: Tensor) -> float:
    """Mean of 2 sum(p_a p_b) / (sum p_a^2 + sum p_b^2) over pairs and present classes: Milletari et al. 2016, eq. 3."""
    pairs = len(product)
    present = brain & (mass.mean(dim=0) > 1)
    if pairs == 0 or not bool(present.any()):
        return math.nan
    dice = 2 * product / (square[0 : 2 * pairs : 2] + square[1 : 2 * pairs : 2])
    return float(dice[:, present].mean())
