"""How an image lies in memory: columns are the 2 mm cells of the feature grid, each with 8 voxels of 1 mm."""

import torch
from torch import Tensor

from models.network import SUBVOXELS


def augment(features: Tensor) -> Tensor:
    """(F, ...) features to (F + 1, N) with a row of ones for the bias."""
    flat = features.reshape(features.shape[0], -1)
    return torch.cat([flat, torch.ones(1, flat.shape[1], dtype=flat.dtype)])


def unfold(cells: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(8, N) cell-major map to (2 I, 2 J, 2 K), N = I J K."""
    i, j, k = grid
    return cells.view(2, 2, 2, i, j, k).permute(3, 0, 4, 1, 5, 2).reshape(2 * i, 2 * j, 2 * k).contiguous()


def by_voxel(heads: Tensor) -> Tensor:
    """The rows of each of the 8 voxels apart: (..., 8 C, F + 1) to (..., C, 8, F + 1)."""
    return heads.view(*heads.shape[:-2], heads.shape[-2] // SUBVOXELS, SUBVOXELS, heads.shape[-1])


def slices(n: int, size: int) -> list[slice]:
    """range(n) in parts of `size`, the last one shorter."""
    return [slice(start, min(n, start + size)) for start in range(0, n, size)]
