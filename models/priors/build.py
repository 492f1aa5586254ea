"""Build the atlas: ICBM tissues, each tissue's mass shared among its classes as the registered label maps show."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.label_maps import LabelMap
from models.priors.atlas import Atlas, icbm_tissues, tissue_atlas
from models.priors.pose import find_pose

ROUNDS = 2
COARSE = 4


def build_atlas(maps: Sequence[LabelMap], members: Mapping[str, Sequence[int]], n_healthy: int) -> Atlas:
    """Alternate registration of the label maps and class frequencies, ROUNDS times, from equal shares.

    members: tissue name (grey_matter, white_matter, csf) -> class ids.
    """
    tissues, affine = icbm_tissues()
    atlas = tissue_atlas(tissues, affine, members, n_healthy)
    for _ in range(ROUNDS):
        share = torch.stack([_in_atlas_space(m, atlas, n_healthy) for m in maps]).mean(dim=0)
        atlas = tissue_atlas(tissues, affine, members, n_healthy, share)
    return atlas


def _in_atlas_space(label_map: LabelMap, atlas: Atlas, n_healthy: int) -> Tensor:
    """One-hot classes of one label map on the atlas grid, (H, I, J, K)."""
    classes = torch.from_numpy(label_map.classes).long()
    onehot = functional.one_hot(torch.where(classes < n_healthy, classes, 0), n_healthy).permute(3, 0, 1, 2).float()
    coarse = functional.avg_pool3d(onehot[None], COARSE)[0]
    coarse_affine = label_map.affine @ np.diag([COARSE, COARSE, COARSE, 1.0])
    coarse_affine[:3, 3] = (label_map.affine @ [*[(COARSE - 1) / 2] * 3, 1])[:3]
    pose = find_pose(coarse, coarse_affine, atlas)
    half = Atlas(probability=functional.avg_pool3d(onehot[None], 2)[0], affine=_half(label_map.affine))
    to_scanner = np.linalg.inv(pose.affine) @ atlas.affine
    return half.on_grid(atlas.probability.shape[1:], to_scanner)


def _half(affine: np.ndarray) -> np.ndarray:
    out = affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    out[:3, 3] = (affine @ [0.5, 0.5, 0.5, 1])[:3]
    return np.asarray(out)
