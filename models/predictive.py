"""The posterior predictive of one image, from features computed once and samples of the linear head.

All arrays here are class-major over the 2 mm cells of the feature grid, (C, 8, N): one dense pass with the posterior
mean, then S samples on the cells that can change, those whose entropy under the mean is above ACTIVE_NATS in any of
their 8 voxels. The others keep their point value, whose entropy is below that bound.
"""

import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.parallel import map_chunks

ACTIVE_NATS = 0.05
DENSE_CELLS = 8192
SAMPLED_CELLS = 2048


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictive:
    """Voxel maps are cell-major, (8, N); `unfold` lays them out as (X, Y, Z).

    labels: uint8, argmax of the predictive. entropy, expected_entropy: nats.
    volumes: (S, C) float64, expected number of voxels of each class under each posterior sample.
    pairwise_dice: soft Dice over pairs of samples, averaged over pairs and the classes present, [0, 1].
    entropy_before_prior: mean entropy over the brain without the prior, nats. sampled: fraction of cells sampled.
    """

    labels: Tensor
    entropy: Tensor
    expected_entropy: Tensor
    volumes: Tensor
    pairwise_dice: float
    entropy_before_prior: float
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
    chunks = torch.split(features, DENSE_CELLS, dim=1)
    return torch.cat([torch.softmax(_scores(chunk, head), dim=0).mean(dim=1) for chunk in chunks], dim=1)


def predict(features: Tensor, mean: Tensor, samples: Tensor, ratio: Tensor, brain: Tensor) -> Predictive:
    """Predictive of every voxel.

    features: (F + 1, N), last row ones. mean: (8 C, F + 1) head at the posterior mean. samples: (S, 8 C, F + 1).
    ratio: (C - 1, N) prior ratio rho of the healthy classes. brain: (C,) bool, classes over which means are taken.
    """
    labels = torch.empty(SUBVOXELS, features.shape[1], dtype=torch.uint8)
    entropy, before = torch.empty(labels.shape), torch.empty(labels.shape)

    def dense(part: slice) -> _Sums:
        logits = _shifted(features[:, part], mean)
        before[:, part] = _softmax_entropy(logits)
        p, entropy[:, part] = fused(logits, ratio[:, part])
        labels[:, part] = _argmax(p)
        return _Sums(_total(p)[None], _total(p * p)[None], torch.zeros(()))

    point = _add_up(map_chunks(dense, _slices(features.shape[1], DENSE_CELLS)))
    active = (entropy.amax(dim=0) > ACTIVE_NATS).nonzero()[:, 0]
    inside = brain[labels.long()]
    entropy_before = float(before[inside].mean()) if bool(inside.any()) else math.nan
    expected = entropy.clone()
    changes = samples - mean

    def sampled(part: Tensor) -> _Sums:
        average, within, sums = _sampled(features[:, part], mean, changes, ratio[:, part])
        labels[:, part] = _argmax(average)
        entropy[:, part] = torch.special.entr(average).sum(dim=0)
        # Jensen: E H[p] <= H[E p]. The minimum is for rounding alone.
        expected[:, part] = torch.minimum(within, entropy[:, part])
        return sums

    parts = torch.split(active, SAMPLED_CELLS) if len(samples) and len(active) else ()
    nothing = _Sums(*(torch.zeros(n, len(brain)).double() for n in (len(samples), len(samples), len(samples) // 2)))
    moved = _add_up(map_chunks(sampled, parts), nothing)
    mass, square = moved.mass + point.mass, moved.square + point.square
    return Predictive(
        labels=labels,
        entropy=entropy,
        expected_entropy=expected,
        volumes=mass,
        pairwise_dice=_soft_dice(mass, square, moved.product + point.square, brain),
        entropy_before_prior=entropy_before,
        sampled=len(active) / features.shape[1],
    )


def fused(logits: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """The rule of `models.priors.fusion` from logits, with the entropy in closed form (no logarithm a class).

    logits: (C, 8, n), lesion last, shifted so that exp() is safe. ratio: (C - 1, n).
    Returns p (C, 8, n) and its entropy (8, n), nats.
    """
    p = torch.exp(logits)
    lesion = p[-1] / p.sum(dim=0)
    p[:-1] *= ratio[:, None]
    evidence = p[:-1].sum(dim=0).clamp_min(1e-30)
    healthy = 1 - lesion
    scale = healthy / evidence
    p[:-1] *= scale
    p[-1] = lesion
    cross = (p[:-1] * (logits[:-1] + torch.log(ratio)[:, None])).sum(dim=0)
    entropy = -healthy * torch.log(scale.clamp_min(1e-30)) - cross + torch.special.entr(lesion)
    return p, entropy.clamp_min_(0)


def unfold(cells: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(8, N) cell-major map to (2 I, 2 J, 2 K), N = I J K."""
    i, j, k = grid
    return cells.view(2, 2, 2, i, j, k).permute(3, 0, 4, 1, 5, 2).reshape(2 * i, 2 * j, 2 * k).contiguous()


def _sampled(features: Tensor, mean: Tensor, changes: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor, _Sums]:
    """Mean probability (C, 8, n), mean entropy (8, n), and each sample's sums less those of the point prediction."""
    base = _shifted(features, mean)
    p, _ = fused(base, ratio)
    point_mass, point_square = _total(p), _total(p * p)
    flat = base.view(-1, features.shape[1])
    average, within = torch.zeros_like(base), torch.zeros(base.shape[1:])
    masses, squares, products = [], [], []
    previous = average
    for s, change in enumerate(changes):
        logits = torch.addmm(flat, change, features).view(base.shape)
        p, entropy = fused(logits, ratio)
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


def _slices(n: int, size: int) -> list[slice]:
    return [slice(start, min(n, start + size)) for start in range(0, n, size)]


def _add_up(sums: Iterable[_Sums], start: _Sums | None = None) -> _Sums:
    """The sum in the order given, so that it repeats to the last bit."""
    return reduce(operator.add, sums) if start is None else reduce(operator.add, sums, start)


def _scores(features: Tensor, head: Tensor) -> Tensor:
    """Logits (C, 8, n) of n cells."""
    return (head @ features).view(-1, SUBVOXELS, features.shape[1])


def _shifted(features: Tensor, head: Tensor) -> Tensor:
    logits = _scores(features, head)
    return logits - logits.amax(dim=0)


def _softmax_entropy(logits: Tensor) -> Tensor:
    """H[softmax] over the first axis, nats: log sum e^l - sum l e^l / sum e^l, for logits shifted to a maximum of 0."""
    e = torch.exp(logits)
    total = e.sum(dim=0)
    return torch.log(total) - (e * logits).sum(dim=0) / total


def _argmax(p: Tensor) -> Tensor:
    """Argmax over the first axis, uint8. A running maximum is 5 times faster than torch.argmax over a strided axis."""
    best, label = p[0].clone(), torch.zeros(p.shape[1:], dtype=torch.uint8)
    for c in range(1, len(p)):
        label.masked_fill_(p[c] > best, c)
        torch.maximum(best, p[c], out=best)
    return label


def _total(p: Tensor) -> Tensor:
    return p.sum(dim=(1, 2)).double()


def _soft_dice(mass: Tensor, square: Tensor, product: Tensor, brain: Tensor) -> float:
    """Mean of 2 sum(p_a p_b) / (sum p_a^2 + sum p_b^2) over pairs and present classes: Milletari et al. 2016, eq. 3."""
    pairs = len(product)
    present = brain & (mass.mean(dim=0) > 1)
    if pairs == 0 or not bool(present.any()):
        return math.nan
    dice = 2 * product / (square[0 : 2 * pairs : 2] + square[1 : 2 * pairs : 2])
    return float(dice[:, present].mean())
