"""The atlas: probability of each healthy class at each place of MNI152NLin2009aSym."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

PSEUDO_COUNT = 2e-3
"""Mass given to every class everywhere, so that nothing is impossible."""
REGISTRATION_SD_MM = 2.0
UNKNOWN_POSE_SD_MM = 15.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Atlas:
    """probability: (H, I, J, K) float32, H healthy classes with background first, sums to 1 over H.

    affine: (4, 4) float64, atlas index to MNI mm.
    """

    probability: Tensor
    affine: NDArray[np.float64]

    def blurred(self, sd_mm: float = UNKNOWN_POSE_SD_MM) -> "Atlas":
        """The same atlas where the pose is known to sd_mm only: the null of the registration's Bayes factor."""
        voxel = float(np.linalg.norm(self.affine[:3, 0]))
        sd = (0, *[sd_mm / voxel] * 3)
        maps = ndimage.gaussian_filter(self.probability.numpy(), sd, mode="nearest", truncate=2.5)
        return Atlas(probability=torch.from_numpy(maps / maps.sum(axis=0)), affine=self.affine)

    def at(self, mm: Tensor) -> Tensor:
        """Probability at MNI points: mm (N, 3) -> (H, N), trilinear, the edge value outside. Differentiable in mm."""
        inverse = torch.as_tensor(np.linalg.inv(self.affine), dtype=mm.dtype)
        index = mm @ inverse[:3, :3].T + inverse[:3, 3]
        sides = torch.tensor(self.probability.shape[1:], dtype=mm.dtype)
        grid = (2 * index / (sides - 1) - 1).flip(-1).view(1, 1, 1, -1, 3)
        out = functional.grid_sample(self.probability[None], grid, padding_mode="border", align_corners=True)
        return out[0, :, 0, 0]

    def on_grid(self, shape: Sequence[int], affine: NDArray[np.float64]) -> Tensor:
        """Probability on a regular grid: affine maps grid index to MNI mm. Returns (H, *shape)."""
        to_atlas = np.linalg.inv(self.affine) @ affine
        sides = np.array(self.probability.shape[1:])
        # grid_sample wants atlas coordinates in [-1, 1], last axis first.
        scale = np.diag([*(2 / (sides - 1)), 1.0])
        scale[:3, 3] = -1
        matrix = torch.from_numpy((scale @ to_atlas)[:3][::-1].copy()).float()
        i, j, k = (torch.arange(n, dtype=torch.float32) for n in shape)
        x, y, z, shift = matrix.T
        grid = i[:, None, None, None] * x + j[:, None, None] * y + (k[:, None] * z + shift)
        out = functional.grid_sample(self.probability[None], grid[None], padding_mode="border", align_corners=True)
        return out[0]


def tissue_atlas(
    tissues: Mapping[str, NDArray[np.float32]],
    affine: NDArray[np.float64],
    members: Mapping[str, Sequence[int]],
    n_healthy: int,
    share: Tensor | None = None,
) -> Atlas:
    """Atlas from tissue maps: each tissue's mass is shared among its classes, blurred, and given pseudo-counts.

    tissues: name -> (I, J, K) in [0, 1]; what they leave is background. members: name -> class ids.
    share: (H, I, J, K) class frequencies seen at each place, None for equal shares.
    """
    shape = next(iter(tissues.values())).shape
    maps = np.zeros((n_healthy, *shape), np.float32)
    maps[0] = 1 - sum(tissues.values())
    for name, ids in members.items():
        seen = np.ones((len(ids), *shape), np.float32) if share is None else share[list(ids)].numpy() + 1e-3
        maps[list(ids)] = tissues[name] * seen / seen.sum(axis=0)
    voxel = float(np.linalg.norm(affine[:3, 0]))
    maps = ndimage.gaussian_filter(maps, (0, *[REGISTRATION_SD_MM / voxel] * 3), mode="nearest")
    maps = np.clip(maps, 0, None) + PSEUDO_COUNT
    return Atlas(probability=torch.from_numpy(maps / maps.sum(axis=0)), affine=affine)


def icbm_tissues(voxel_mm: int = 2) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float64]]:
    """Grey, white and CSF maps of ICBM 2009a, read from the installed nilearn, and their affine.

    CSF is the remainder of the brain. Source: Fonov et al. 2009, NeuroImage 47:S102; Fonov et al. 2011, 54(1):313.
    """
    maps_and_affines = {k: icbm_map(k) for k in ("t1", "gm", "wm")}
    arrays = {k: array for k, (array, _) in maps_and_affines.items()}
    _, affine = maps_and_affines["t1"]
    grey, white = (np.clip(arrays[k] / arrays[k].max(), 0, 1) for k in ("gm", "wm"))
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(arrays["t1"] > 0.05 * arrays["t1"].max(), iterations=2))
    csf = np.clip(brain - grey - white, 0, 1)
    maps = {"grey_matter": grey, "white_matter": white, "csf": csf}
    thin = {k: _block_mean(np.asarray(v, np.float32), voxel_mm) for k, v in maps.items()}
    coarse = affine.copy()
    coarse[:3, :3] *= voxel_mm
    coarse[:3, 3] = (affine @ [*[(voxel_mm - 1) / 2] * 3, 1])[:3]
    return thin, coarse


def icbm_map(name: str) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """t1 (stripped), gm or wm of ICBM 2009a at 1 mm as the installed nilearn has it, and its affine to MNI mm."""
    from importlib.resources import files

    folder = Path(str(files("nilearn"))) / "datasets" / "data"
    image = nib.load(folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
    return np.asarray(image.dataobj, np.float32), np.asarray(image.affine, np.float64)


def _block_mean(a: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    x, y, z = (s // n for s in a.shape)
    return np.asarray(a[: x * n, : y * n, : z * n].reshape(x, n, y, n, z, n).mean(axis=(1, 3, 5)), np.float32)
