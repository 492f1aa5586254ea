"""What sampling changes in the maps, on the voxels and among the classes that can move."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.parallel import map_chunks
from models.predictive.compiled import (
    BLOCK,
    NATS,
    ONE,
    SMALLEST,
    ZERO,
    Array,
    fill_healthy,
    fill_lesion,
    log2,
    raise_likeliest,
    row,
)
from models.predictive.compiling import compiled
from models.predictive.draws import Draw
from models.predictive.parts import parts
from models.predictive.point import Point


def move(
    start: Point, features: Tensor, ratio: Tensor, draw: Draw, growth: float, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Labels, entropy, expected entropy (8, N) under samples instead of the mean head; the fraction of voxels sampled.

    Classes that move share among them the mass that they have under the mean head; what the others have is held. By
    concavity H(p + d) <= H(p) - sum_c d_c log p_c: the entropy of the mass that held classes would gain is added as
    this bound (growth: see `Joint`), so that holding them lowers no score.
    """
    some = (start.moving & (start.moving - 1)).any(dim=0).nonzero()[:, 0]
    moving, labels = start.moving[:, some], start.labels[:, some]
    entropy, expected = torch.zeros(2, *moving.shape)
    lesion = len(ratio)
    rows = torch.from_numpy(_rows(features.numpy(), ratio.numpy(), some.numpy()))
    arrays = labels.numpy(), entropy.numpy(), expected.numpy()

    def sample(part: tuple[int, Tensor, list[int]]) -> int:
        voxel, cells, classes = part
        here = rows.index_select(0, cells)
        odds, weight = draw(voxel, classes, here[:, : len(features)].T)
        log_ratio = here[:, len(features) :].numpy()
        numbers = np.array(classes, np.uint8), lesion, np.float32(temperature)
        _fill_maps(odds.numpy(), weight.numpy(), log_ratio, *numbers, cells.numpy(), *(each[voxel] for each in arrays))
        return len(cells)

    sampled = sum(map_chunks(sample, parts(moving, lesion)))
    before = start.entropy + (growth - 1) * start.held_entropy

    def changed(by: Tensor) -> Tensor:
        return before.index_copy(1, some, before[:, some] + by).clamp_min_(0)

    # Jensen: E H[p] <= H[E p]. The minimum is for rounding alone.
    maps = changed(entropy), changed(torch.minimum(expected, entropy))
    return start.labels.index_copy(1, some, labels), *maps, sampled / start.labels.numel()


@compiled
def _rows(features: Array, ratio: Array, cells: NDArray[np.intp]) -> Array:
    """Features, and the ratio in bits, of these cells: (n, F + C), a row a cell."""
    out = np.empty((len(cells), len(features) + len(ratio)), np.float32)
    for start in range(0, len(cells), BLOCK):
        stop = min(len(cells), start + BLOCK)
        for f in range(len(features)):
            for i in range(start, stop):
                out[i, f] = features[f, cells[i]]
        for c in range(len(ratio)):
            for i in range(start, stop):
                out[i, len(features) + c] = log2(ratio[c, cells[i]])
    return out


@compiled
def _fill_maps(
    odds: Array,
    weight: Array,
    log_ratio: Array,
    classes: NDArray[np.uint8],
    lesion: int,
    temperature: np.float32,
    cells: NDArray[np.intp],
    labels: NDArray[np.uint8],
    entropy: Array,
    expected: Array,
) -> None:
    """What becomes of the maps at these cells, n of all: (N,). odds, weight: as `Draw` gives them.

    log_ratio: (n, C - 1) of all healthy classes, bits. classes: those in play.
    """
    likely, likeliest = np.empty((len(classes), BLOCK), np.float32), np.empty(BLOCK, np.int32)
    first, mean, of_mean, top = row(), row(), row(), row()
    prior = np.empty((len(classes) - 1 if classes[-1] == lesion else len(classes), BLOCK), np.float32)
    for start in range(0, len(cells), BLOCK):
        b = min(len(cells) - start, BLOCK)
        for c in range(len(prior)):
            for i in range(b):
                prior[c, i] = log_ratio[start + i, classes[c]]
        _fill_moments(odds, weight, start, prior, temperature, likely, first[:b], mean[:b])
        of_mean[:] = 0
        likeliest[:] = 0
        top[:] = -1
        for c in range(len(classes)):
            _add_surprise(likely[c, :b], of_mean[:b])
            raise_likeliest(likely[c, :b], np.int32(c), top[:b], likeliest[:b])
        for i in range(b):
            at = cells[start + i]
            labels[at] = classes[likeliest[i]]
            entropy[at] = NATS * (of_mean[i] - first[i])
            expected[at] = NATS * (mean[i] - first[i])


@compiled
def _fill_moments(
    odds: Array,
    weight: Array,
    start: int,
    log_ratio: Array,
    temperature: np.float32,
    likely: Array,
    first: Array,
    mean: Array,
) -> None:
    """Mean probability of the classes, (C, BLOCK), entropy under the first sample, and its mean, (n,), bits.

    log_ratio: (H, BLOCK), of the healthy classes in play; if there is another class, it is the lesion.
    """
    n, healthy = mean.size, len(log_ratio)
    ill = len(likely) > healthy
    power = np.empty((healthy, BLOCK), np.float32)
    top, z, t, p, log_p, rest = row()[:n], row()[:n], row()[:n], row()[:n], row()[:n], row()[:n]
    h, share = row()[:n], row()[:n]
    likely[:] = 0
    mean[:] = 0
    for k in range(odds.shape[1]):
        if ill:
            fill_lesion(odds, k, start, temperature, p, log_p, rest, top)
            _add(weight[k], p, likely[healthy, :n])
        fill_healthy(odds, k, start, log_ratio, power, top, z, t)
        _entropy(z, t, h, share)
        if ill:
            _with_lesion(p, log_p, rest, h, share)
        if k == 0:
            first[:] = h
        _add(weight[k], h, mean)
        for c in range(healthy):
            _add_product(weight[k], share, power[c, :n], likely[c, :n])


@compiled
def _add(weight: np.float32, x: Array, total: Array) -> None:
    for i in range(x.size):
        total[i] += weight * x[i]


@compiled
def _add_product(weight: np.float32, x: Array, y: Array, total: Array) -> None:
    for i in range(x.size):
        total[i] += weight * x[i] * y[i]


@compiled
def _entropy(z: Array, t: Array, h: Array, share: Array) -> None:
    """h: of the healthy classes, bits, from the sums of `fill_healthy`. share: 1 / z."""
    for i in range(z.size):
        share[i] = ONE / z[i]
        h[i] = max(log2(z[i]) - t[i] * share[i], ZERO)


@compiled
def _with_lesion(p: Array, log_p: Array, rest: Array, h: Array, share: Array) -> None:
    for i in range(p.size):
        h[i] = rest[i] * (h[i] - log2(rest[i])) - p[i] * log_p[i]
        share[i] *= rest[i]


@compiled
def _add_surprise(p: Array, entropy: Array) -> None:
    for i in range(p.size):
        entropy[i] -= p[i] * log2(max(p[i], SMALLEST))
