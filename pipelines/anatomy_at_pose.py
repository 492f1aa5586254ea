"""What anatomy expects at the pose of a head: the prior of every cell, and its conflict with the network's answer."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from models.bundle import Bundle
from models.priors.atlas import Atlas
from models.priors.fusion import log_bayes_factor, prior_ratio
from models.priors.pose import EFFECTIVE_VOXELS, Pose
from triage.anatomy import BRAIN

NEGLIGIBLE = 1e-3
"""Weight of an atlas that is not worth looking it up."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnatomyAtPose:
    """coarse: (C, I/2, J/2, K/2), class probability of every second cell, which the pose was found on.

    ratio: (H, N) prior ratio at the cells. conflict: (X, Y, Z) nats at 1 mm.
    log_bayes_factor: nats a brain voxel, this pose against an unknown one. weight: what that gives the pose, [0, 1].
    """

    pose: Pose
    coarse: Tensor
    ratio: Tensor
    conflict: NDArray[np.float32]
    log_bayes_factor: float
    weight: float


def anatomy_at(
    pose: Pose,
    coarse: Tensor,
    coarse_affine: NDArray[np.float64],
    grid: tuple[int, int, int],
    cell_affine: NDArray[np.float64],
    *,
    model: Bundle,
    unknown: Atlas,
) -> AnatomyAtPose:
    """The atlas at this pose and its conflict with the likelihood. A doubtful pose falls back to the blurred atlas.

    The weight of the pose is the sigmoid of its log Bayes factor against the atlas blurred over poses, `unknown`.
    coarse_affine, cell_affine: (4, 4), index of every second cell and of the cells, of which there are `grid`, to
    scanner RAS+ mm.
    """
    known_here, unknown_here = (
        atlas.on_grid(coarse.shape[1:], pose.affine @ coarse_affine) for atlas in (model.atlas, unknown)
    )
    gain = log_bayes_factor(coarse, known_here, unknown_here, model.training_prior)
    brain = coarse[list(BRAIN)].sum(dim=0) > 0.5
    factor = float(gain[brain].mean()) if bool(brain.any()) else math.nan
    weight = 0.0 if math.isnan(factor) else float(expit(EFFECTIVE_VOXELS * factor))
    to_mni = pose.affine @ cell_affine
    atlas = weight * model.atlas.on_grid(grid, to_mni) if weight > NEGLIGIBLE else torch.zeros(())
    if weight < 1 - NEGLIGIBLE:
        atlas = atlas + (1 - weight) * unknown.on_grid(grid, to_mni)
    ratio = prior_ratio(atlas.reshape(len(model.training_prior), -1), model.training_prior, model.beta)
    ratio *= model.class_weight[:, None]
    return AnatomyAtPose(
        pose=pose,
        coarse=coarse,
        ratio=ratio,
        conflict=_at_1_mm(-gain, grid).numpy(),
        log_bayes_factor=factor,
        weight=weight,
    )


def _at_1_mm(coarse: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """From every second cell to the conformed grid, twice as fine as the cells; trilinear."""
    fine = functional.interpolate(coarse[None, None], size=tuple(2 * n for n in grid), mode="trilinear")
    # Coarse voxel c lies at 4 c + 0.5 of the conformed grid; interpolate puts it at 4 c + 1.5.
    return functional.pad(fine, (0, 1) * 3, mode="replicate")[0, 0, 1:, 1:, 1:].contiguous()
