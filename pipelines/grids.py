"""Maps of the conformed grid on another one: the scanner's, or that of somebody's labels."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from triage.case import Volume

LEAST_SAY = 0.01
"""Weight of a point that is undecided, where a voxel is polled: among such points the most votes still win."""
PARALLEL = 1e-6
"""Axes of two grids are parallel when no step strays further, in voxels."""


def to_scanner_grid(
    maps: NDArray[np.float32], conformed_affine: NDArray[np.float64], volume: Volume
) -> NDArray[np.float32]:
    """A continuous map of the conformed grid on the scanner's, trilinear; 0 outside the crop."""
    return _moved(maps, np.linalg.inv(conformed_affine) @ volume.affine, volume.array.shape, order=1)


def labels_on_grid(
    labels: NDArray[np.uint8],
    entropy: NDArray[np.float32],
    conformed_affine: NDArray[np.float64],
    affine: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.uint8]:
    """Labels, (X, Y, Z) with their entropy in nats, on another grid than theirs of 1 mm; 0 outside of it.

    A voxel of 2 mm has its centre between those of 1 mm: to take the nearest one would move every border by half of it.
    So each voxel is polled at points about 1 mm apart, and the class with the most votes is its own; a point has less
    say the less sure its label is, and next to none where two classes are as likely.
    affine: (4, 4), index of the other grid to RAS+ mm. shape: its own.
    """
    index = np.linalg.inv(conformed_affine) @ affine
    points = _points([max(1, round(size)) for size in np.linalg.norm(index[:3, :3], axis=0)])
    at = [index @ np.block([[np.eye(3), point[:, None]], [np.zeros((1, 3)), 1.0]]) for point in points]
    polled = np.stack([_moved(labels, one, shape, order=0) for one in at])
    if len(points) == 1:
        return np.asarray(polled[0])
    doubt = np.stack([_moved(entropy, one, shape, order=0) for one in at]) / math.log(2)
    say = np.maximum(1 - doubt, LEAST_SAY)
    best, most = np.zeros(shape, np.uint8), np.zeros(shape, np.float32)
    for number in np.flatnonzero(np.bincount(polled.ravel())):
        votes = np.where(polled == number, say, 0).sum(axis=0)
        best[votes > most] = number
        most = np.maximum(most, votes)
    return best


def _points(counts: Sequence[int]) -> list[NDArray[np.float64]]:
    """Evenly spread over a voxel, counts along each axis; (3,) each, from its centre, in voxels."""
    n = np.array(counts)
    return [(np.array(at) + 0.5) / n - 0.5 for at in np.ndindex(*counts)]


def _moved(maps: NDArray[Any], index: NDArray[np.float64], shape: Sequence[int], *, order: int) -> NDArray[Any]:
    """index: (4, 4), index of a grid of this shape to that of the maps. Beyond their outer voxels it gives 0."""
    # "grid-constant": the outer half of the last voxel is inside it, also for a finer voxel of the other grid there.
    transform = partial(ndimage.affine_transform, maps, offset=index[:3, 3], order=order, mode="grid-constant")
    axes = np.abs(index[:3, :3]).argmax(axis=1)
    scaled = np.zeros((3, 3))
    scaled[range(3), axes] = index[range(3), axes]
    if len(set(axes)) < 3 or not np.allclose(scaled, index[:3, :3], atol=PARALLEL):
        return np.asarray(transform(index[:3, :3], output_shape=tuple(shape)))
    # A scaled permutation, as between a scan and its conformed grid: transpose, then scale by axis, ten times faster.
    out = transform(scaled[range(3), axes], output_shape=tuple(shape[a] for a in axes))
    return np.ascontiguousarray(np.transpose(out, np.argsort(axes)))
