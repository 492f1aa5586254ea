"""One dense pass with the mean head: labels and entropy of every voxel, and the classes that may move at each."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.network import SUBVOXELS
from models.parallel import map_chunks
from models.predictive.compiled import BLOCK, NATS, ONE, ZERO, Array, fill_probability, raise_likeliest
from models.predictive.compiling import compiled
from models.predictive.layout import slices
from models.predictive.rule import BITS, DENSE_CELLS

NONE = np.int16(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """labels: (8, N) uint8. entropy: (8, N), nats, of which held_entropy is that of the classes held.

    moving: (8, N) int16, bit c for a class that is not held. bound: (2, N), the probability from which a class may
    move, healthy or lesion; `bound_of` gives it for every class.
    mass, square: (C,) float64, sums of p and p^2 over the image. doubt: (C, N), sum of p (1 - p) over a cell's voxels.
    """

    labels: Tensor
    entropy: Tensor
    held_entropy: Tensor
    moving: Tensor
    bound: Tensor
    mass: Tensor
    square: Tensor
    doubt: Tensor

    def bound_of(self, cells: Tensor) -> Tensor:
        """(C, n), at these cells."""
        return _of_classes(self.bound.index_select(1, cells), len(self.mass))


def point(
    features: Tensor, mean: Tensor, ratio: Tensor, changes: Tensor, *, held: float, temperature: float = 1.0
) -> Point:
    """Every voxel under the mean head. changes: (S, 8 C, F + 1), samples less the mean.

    held: a class is held at its point value where its probability stays below this both with its logit two SDs up and
    in the mean, which is that of a log-normal. The lesion's SD is its own: far from what was seen it is ten times that
    of the others.
    """
    n, classes = features.shape[1], len(ratio) + 1
    labels, moving = torch.empty(SUBVOXELS, n, dtype=torch.uint8), torch.empty(SUBVOXELS, n, dtype=torch.int16)
    entropy, held_entropy = torch.empty(SUBVOXELS, n), torch.empty(SUBVOXELS, n)
    bound, doubt = torch.empty(2, n), torch.empty(classes, n)
    against_first = (mean - mean[:SUBVOXELS].repeat(classes, 1))[SUBVOXELS:] * BITS
    lesion = SUBVOXELS * (classes - 1)
    covariance = [_second_moment(changes[:, :lesion]), _second_moment(temperature * changes[:, lesion:])]

    def dense(part: slice) -> Tensor:
        cells = features[:, part]
        variance = torch.stack([(cells * (each @ cells)).sum(dim=0) for each in covariance]).clamp_min_(0)
        limit = held * torch.exp(-2 * variance.sqrt() - variance / 2)
        odds = (against_first @ cells).view(classes - 1, SUBVOXELS, -1)
        log_ratio = torch.log2(ratio[:, part])
        found = _maps(odds.numpy(), log_ratio.numpy(), limit.numpy(), np.float32(temperature))
        for whole, here in zip((labels, moving, entropy, held_entropy, doubt), found, strict=False):
            whole[:, part] = torch.from_numpy(here)
        bound[:, part] = limit
        return torch.from_numpy(found[-1])

    mass, square = torch.stack(list(map_chunks(dense, slices(n, DENSE_CELLS)))).sum(dim=0)
    return Point(
        labels=labels,
        entropy=entropy,
        held_entropy=held_entropy,
        moving=moving,
        bound=bound,
        mass=mass,
        square=square,
        doubt=doubt,
    )


@compiled
def _maps(
    odds: Array, log_ratio: Array, bound: Array, temperature: np.float32
) -> tuple[NDArray[np.uint8], NDArray[np.int16], Array, Array, Array, NDArray[np.float64]]:
    """labels, moving, entropy, held_entropy and doubt of `Point` on n cells, and the sums of p and of p^2, (2, C).

    odds: (C - 1, 8, n), against the first class, bits. log_ratio: (C - 1, n), bits.
    """
    classes, voxels, n = len(odds) + 1, odds.shape[1], odds.shape[2]
    labels, moving = np.empty((voxels, n), np.uint8), np.zeros((voxels, n), np.int16)
    entropy, held_entropy = np.zeros((voxels, n), np.float32), np.zeros((voxels, n), np.float32)
    doubt, sums = np.zeros((classes, n), np.float32), np.zeros((2, classes))
    p, log_p = np.empty((classes, BLOCK), np.float32), np.empty((classes, BLOCK), np.float32)
    prior = np.empty((classes - 1, BLOCK), np.float32)
    top, likeliest = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.int32)
    for start in range(0, n, BLOCK):
        stop = min(n, start + BLOCK)
        b = stop - start
        prior[:, :b] = log_ratio[:, start:stop]
        for v in range(voxels):
            fill_probability(odds, v, start, prior, temperature, p, log_p)
            likeliest[:] = 0
            top[:] = -1
            for c in range(classes):
                limit = bound[1 if c == classes - 1 else 0, start:stop]
                _surprise(p[c, :b], log_p[c, :b], limit, entropy[v, start:stop], held_entropy[v, start:stop])
                _mark(p[c, :b], limit, moving[v, start:stop], np.int16(1 << c))
                raise_likeliest(p[c, :b], np.int32(c), top[:b], likeliest[:b])
                mass, square = _sums(p[c, :b], doubt[c, start:stop])
                sums[0, c] += mass
                sums[1, c] += square
            labels[v, start:stop] = likeliest[:b]
    return labels, moving, entropy, held_entropy, doubt, sums


@compiled
def _surprise(p: Array, log_p: Array, limit: Array, entropy: Array, held_entropy: Array) -> None:
    for i in range(p.size):
        surprise = -NATS * p[i] * log_p[i]
        entropy[i] += surprise
        held_entropy[i] += surprise if p[i] < limit[i] else ZERO


@compiled
def _mark(p: Array, limit: Array, moving: NDArray[np.int16], bit: np.int16) -> None:
    for i in range(p.size):
        moving[i] |= bit if p[i] >= limit[i] else NONE


@compiled
def _sums(p: Array, doubt: Array) -> tuple[np.float32, np.float32]:
    mass, square = ZERO, ZERO
    for i in range(p.size):
        mass += p[i]
        square += p[i] * p[i]
        doubt[i] += p[i] * (ONE - p[i])
    return mass, square


def _second_moment(changes: Tensor) -> Tensor:
    """(F + 1, F + 1), over samples and rows; nothing moves without samples."""
    rows = changes.flatten(0, 1)
    return rows.T @ rows / max(1, len(rows))


def _of_classes(bound: Tensor, classes: int) -> Tensor:
    """(2, n), healthy and lesion, to (C, n)."""
    return torch.cat([bound[:1].expand(classes - 1, -1), bound[1:]])
