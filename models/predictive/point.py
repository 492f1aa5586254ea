"""One dense pass with the mean head: labels and entropy of every voxel, and the classes that may move at each."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.parallel import map_chunks
from models.predictive.layout import slices
from models.predictive.rule import DENSE_CELLS, argmax, log_fused, shifted


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
    bits = 2.0 ** torch.arange(classes)
    lesion = SUBVOXELS * (classes - 1)
    covariance = [_second_moment(changes[:, :lesion]), _second_moment(temperature * changes[:, lesion:])]

    def dense(part: slice) -> Tensor:
        cells = features[:, part]
        variance = torch.stack([(cells * (each @ cells)).sum(dim=0) for each in covariance]).clamp_min_(0)
        bound[:, part] = held * torch.exp(-2 * variance.sqrt() - variance / 2)
        p, log_p = log_fused(
            shifted((mean @ cells).view(classes, SUBVOXELS, -1)), ratio[:, None, part], temperature=temperature
        )
        labels[:, part] = argmax(p)
        free = p >= _of_classes(bound[:, part], classes)[:, None]
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


def _second_moment(changes: Tensor) -> Tensor:
    """(F + 1, F + 1), over samples and rows; nothing moves without samples."""
    rows = changes.flatten(0, 1)
    return rows.T @ rows / max(1, len(rows))


def _of_classes(bound: Tensor, classes: int) -> Tensor:
    """(2, n), healthy and lesion, to (C, n)."""
    return torch.cat([bound[:1].expand(classes - 1, -1), bound[1:]])
