"""One dense pass with the mean head: labels and entropy of every voxel, and the classes that may move at each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.parallel import map_chunks
from models.predictive.layout import slices
from models.predictive.rule import DENSE_CELLS, argmax, log_fused, shifted

SMALLEST_CHUNK = 2048
LARGEST_CHUNK = 8192


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """labels: (8, N) uint8. entropy: (8, N), nats, of which held_entropy is that of the classes held.

    moving: (8, N) int16, bit c for a class that is not held. bound: (N,), the probability from which a class may move.
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


def point(
    features: Tensor, mean: Tensor, ratio: Tensor, changes: Tensor, *, held: float, temperature: float = 1.0
) -> Point:
    """Every voxel under the mean head. changes: (S, 8 C, F + 1), samples less the mean.

    held: a class is held at its point value where its probability stays below this even with its logit one SD up.
    """
    n, classes = features.shape[1], len(ratio) + 1
    labels, moving = torch.empty(SUBVOXELS, n, dtype=torch.uint8), torch.empty(SUBVOXELS, n, dtype=torch.int16)
    entropy, held_entropy = torch.empty(SUBVOXELS, n), torch.empty(SUBVOXELS, n)
    bound, doubt = torch.empty(n), torch.empty(classes, n)
    bits = 2.0 ** torch.arange(classes)
    flat = changes.flatten(0, 1)
    covariance = flat.T @ flat / max(1, len(flat))

    def dense(part: slice) -> Tensor:
        cells = features[:, part]
        logit_sd = (cells * (covariance @ cells)).sum(dim=0).clamp_min_(0).sqrt_()
        bound[part] = held * torch.exp(-logit_sd)
        p, log_p = log_fused(
            shifted((mean @ cells).view(classes, SUBVOXELS, -1)), ratio[:, None, part], temperature=temperature
        )
        labels[:, part] = argmax(p)
        free = p >= bound[part]
        moving[:, part] = torch.einsum("c,cvn->vn", bits, free.float()).to(torch.int16)
        surprise = log_p.mul_(p)
        entropy[:, part] = surprise.sum(dim=0).neg_()
        held_entropy[:, part] = surprise.masked_fill_(free, 0).sum(dim=0).neg_()
        mass, square = p.sum(dim=1), (p * p).sum(dim=1)
        doubt[:, part] = mass - square
        return torch.stack([mass.sum(dim=1), square.sum(dim=1)]).double()

    mass, square = torch.stack(list(map_chunks(dense, slices(n, DENSE_CELLS)))).sum(dim=0)
    return Point(
        labels=labels,
        entropy=entropy.clamp_min_(0),
        held_entropy=held_entropy,
        moving=moving,
        bound=bound,
        mass=mass,
        square=square,
        doubt=doubt,
    )


def parts(moving: Tensor) -> Iterator[tuple[int, Tensor, list[int]]]:
    """Chunks of the voxels where two classes or more move: which of the 8, the cells, the classes that move in any.

    Voxels with the same classes are put together, so that few chunks hold more classes than their voxels need.
    """
    for voxel, bits in enumerate(moving.numpy()):
        cells = np.flatnonzero(bits & (bits - 1))
        cells = cells[np.argsort(bits[cells], kind="stable")]
        ends = 1 + np.flatnonzero(np.diff(bits[cells], append=-1))
        start = 0
        while start < len(cells):
            full = ends[np.searchsorted(ends, start + SMALLEST_CHUNK) :]
            stop = min([*full[:1], len(cells), start + LARGEST_CHUNK])
            chunk = cells[start:stop]
            union = int(np.bitwise_or.reduce(bits[chunk]))
            yield voxel, torch.from_numpy(chunk), [c for c in range(union.bit_length()) if union >> c & 1]
            start = stop
