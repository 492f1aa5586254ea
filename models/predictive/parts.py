"""The voxels where something can move, in chunks that move among nearly the same classes."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LARGEST_CHUNK = 4096
OVERHEAD = 1000
"""What a chunk costs beside its voxels, in voxels times classes."""


def parts(moving: Tensor, lesion: int) -> Iterator[tuple[int, Tensor, list[int]]]:
    """Chunks of the voxels where two classes or more move: which of the 8, the cells, the classes that move in any.

    moving: (8, N) int16, bit c for a class that moves. lesion: the class that has a rule of its own.
    """
    for voxel, bits in enumerate(moving.numpy()):
        cells = np.flatnonzero(bits & (bits - 1))
        sizes = np.bincount(bits[cells])
        patterns = np.flatnonzero(sizes).astype(bits.dtype)
        union_of = np.zeros(len(sizes), bits.dtype)
        union_of[patterns] = together(patterns, sizes[patterns], lesion)
        unions = union_of[bits[cells]]
        order = np.argsort(unions, kind="stable")
        found, sizes = np.unique(unions, return_counts=True)
        for union, group in zip(found, np.split(cells[order], sizes.cumsum()[:-1]), strict=False):
            classes = [c for c in range(lesion + 1) if union >> c & 1]
            for start in range(0, len(group), LARGEST_CHUNK):
                yield voxel, torch.from_numpy(group[start : start + LARGEST_CHUNK]), classes


def together(patterns: NDArray[np.int16], sizes: NDArray[np.intp], lesion: int) -> NDArray[np.int16]:
    """For each pattern of classes the union of those it is computed with, (P,). sizes: voxels of each, (P,).

    Greedy, from the most frequent pattern: it joins the group where both together cost least more, if that is less than
    a group of its own would. Patterns with the lesion and without are never put together.
    """
    unions, members = np.zeros(0, patterns.dtype), np.zeros(0, np.intp)
    group = np.zeros(len(patterns), np.intp)
    for i in np.argsort(-sizes, kind="stable"):
        classes = np.bitwise_count(unions | patterns[i]).astype(np.intp)
        more = (classes - np.bitwise_count(unions)) * members + (classes - np.bitwise_count(patterns[i])) * sizes[i]
        more[(unions ^ patterns[i]) >> lesion & 1 == 1] = OVERHEAD
        group[i] = more.argmin() if len(more) and more.min() < OVERHEAD else len(unions)
        if group[i] == len(unions):
            unions, members = np.append(unions, patterns[i]), np.append(members, 0)
        unions[group[i]] |= patterns[i]
        members[group[i]] += sizes[i]
    return np.asarray(unions[group])
