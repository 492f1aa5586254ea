"""The affine to MNI space as the maximum a posteriori of the model itself, without any image similarity.

Maximises sum_v sum_c q_c(v) log pi_c(A v) + log N(log-scale, shear), by multi-start on a coarse grid: it sees only the
network's class probabilities, so it works for any contrast.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.parallel import map_chunks, one_thread_an_operation
from models.priors.atlas import Atlas

SCALE_MEAN, SCALE_SD = math.log(1.06), 0.08
"""Log-scale, scanner to MNI: MNI152 brains are larger than life; determinants of 0.79-0.90 are usual the other way."""
SHEAR_SD = 0.03
EFFECTIVE_VOXELS = 2400.0
"""1.2 million brain voxels over a design effect of 494: voxels are not independent."""
STARTS_DEG = ((0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 25, 0), (0, -25, 0), (0, 0, 25), (0, 0, -25))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pose:
    """affine: (4, 4) float64, scanner RAS+ mm to MNI mm. log_posterior: nats, at the maximum."""

    affine: NDArray[np.float64]
    log_posterior: float


def find_pose(probability: Tensor, affine: NDArray[np.float64], atlas: Atlas, *, iterations: int = 40) -> Pose:
    """MAP affine.

    probability: (H, X, Y, Z) healthy-class probabilities on a coarse grid (about 4 mm), background first.
    affine: (4, 4) grid index to scanner RAS+ mm.
    """
    points, weights = _brain_points(probability, affine)
    centre = (points * (1 - weights[0])[:, None]).sum(dim=0) / (1 - weights[0]).sum().clamp_min(1e-6)
    target = _centre_of_mass(atlas)
    thin, fine = slice(None, None, max(1, len(points) // 2000)), slice(None, None, max(1, len(points) // 20000))

    def climb(start: tuple[int, ...]) -> tuple[Tensor, float]:
        return _climb(start, points[thin] - centre, weights[:, thin], target, atlas, 30)

    best, _ = min(map_chunks(climb, STARTS_DEG), key=lambda fit: fit[1])
    with one_thread_an_operation():
        theta, loss = _climb(best, points[fine] - centre, weights[:, fine], target, atlas, iterations, refine=True)
    matrix, shift = _matrix(theta)
    out = np.eye(4)
    out[:3, :3] = matrix.double().numpy()
    out[:3, 3] = (target + shift - matrix @ centre).double().numpy()
    return Pose(affine=out, log_posterior=-loss * EFFECTIVE_VOXELS)


def _brain_points(probability: Tensor, affine: NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """Scanner mm (N, 3) and class weights (H, N) of the brain and a shell of about 12 mm around it."""
    brain = (1 - probability[0])[None, None]
    near = functional.max_pool3d(brain, 7, stride=1, padding=3)[0, 0] > 0.3
    index = near.nonzero().float()
    matrix = torch.from_numpy(affine).float()
    return index @ matrix[:3, :3].T + matrix[:3, 3], probability[:, near]


def _centre_of_mass(atlas: Atlas) -> Tensor:
    weight = 1 - atlas.probability[0]
    weight = (weight - 0.1).clamp_min(0)
    axes = torch.meshgrid(*[torch.arange(n).float() for n in weight.shape], indexing="ij")
    index = torch.stack([(a * weight).sum() / weight.sum() for a in axes])
    matrix = torch.from_numpy(atlas.affine).float()
    return matrix[:3, :3] @ index + matrix[:3, 3]


def _matrix(theta: Tensor) -> tuple[Tensor, Tensor]:
    """theta: (12,) translation / 10 mm, rotation in rad, log-scale, shear -> linear part (3, 3) and translation (3,)."""
    t, r, s, h = theta.split(3)
    zero = torch.zeros((), dtype=theta.dtype)
    skew = torch.stack([zero, -r[2], r[1], r[2], zero, -r[0], -r[1], r[0], zero]).view(3, 3)
    shear = torch.eye(3) + torch.stack([zero, h[0], h[1], zero, zero, h[2], zero, zero, zero]).view(3, 3)
    return torch.linalg.matrix_exp(skew) @ torch.diag(torch.exp(s)) @ shear, 10 * t


def _climb(
    start: Tensor | tuple[float, ...],
    centred: Tensor,
    weights: Tensor,
    target: Tensor,
    atlas: Atlas,
    iterations: int,
    *,
    refine: bool = False,
) -> tuple[Tensor, float]:
    """Adam from one start; returns the best theta (12,) and its loss (nats a voxel, lower is better)."""
    if isinstance(start, Tensor):
        theta = start.clone().requires_grad_(True)
    else:
        rotation = torch.tensor([math.radians(d) for d in start])
        theta = torch.cat([torch.zeros(3), rotation, torch.full((3,), SCALE_MEAN), torch.zeros(3)]).requires_grad_(True)
    optimiser = torch.optim.Adam([theta], lr=0.02 if refine else 0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations, eta_min=0.001)
    best, best_loss = theta.detach().clone(), math.inf
    for _ in range(iterations):
        matrix, shift = _matrix(theta)
        log_atlas = torch.log(atlas.at(centred @ matrix.T + target + shift))
        fit = (weights * log_atlas).sum(dim=0).mean()
        prior = ((theta[6:9] - SCALE_MEAN) / SCALE_SD).square().sum() + (theta[9:] / SHEAR_SD).square().sum()
        loss = -fit + 0.5 * prior / EFFECTIVE_VOXELS
        if loss.item() < best_loss:
            best, best_loss = theta.detach().clone(), loss.item()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return best, best_loss
