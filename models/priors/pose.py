"""The affine to MNI space as the maximum a posteriori of the model itself, without any image similarity.

Maximises sum_v sum_c q_c(v) log pi_c(A v) + log N(log-scale, shear), by multi-start on a coarse grid: it sees only the
network's class probabilities, so it works for any contrast. The classes and the atlas are symmetric, so it cannot tell
left from right; that is the orientation's to say.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor
from torch.nn import functional

from models.parallel import one_thread_an_operation
from models.priors.atlas import Atlas
from models.priors.lookup import Lookup

SCALE_MEAN, SCALE_SD = math.log(1.06), 0.08
"""Log-scale, scanner to MNI: MNI152 brains are larger than life; determinants of 0.79-0.90 are usual the other way."""
SHEAR_SD = 0.03
EFFECTIVE_VOXELS = 2400.0
"""1.2 million brain voxels over a design effect of 494: voxels are not independent."""
STARTS_DEG = ((0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 25, 0), (0, -25, 0), (0, 0, 25), (0, 0, -25))
SHIFT_MM, REST = 10.0, 0.2
"""What a step of 1 means: a shift by 10 mm, or 0.2 rad or 20 %, which move the edge of a brain as far."""
START_POINTS, START_ITERATIONS = 800, 15
POINTS = 6000
TOLERANCE = 1e-6
"""Relative: about a thousandth of a nat of the log posterior."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pose:
    """affine: (4, 4) float64, scanner RAS+ mm to MNI mm. log_posterior: nats, at the maximum; -inf without a brain."""

    affine: NDArray[np.float64]
    log_posterior: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Points:
    """mm: (N, 3) float64 from the centre of the brain. weights: (N, H) class probabilities."""

    mm: Tensor
    weights: Tensor

    def thinned(self, n: int) -> "_Points":
        step = max(1, len(self.mm) // n)
        return _Points(mm=self.mm[::step], weights=self.weights[::step])


def find_pose(probability: Tensor, affine: NDArray[np.float64], atlas: Atlas, *, iterations: int = 40) -> Pose:
    """MAP affine.

    probability: (H, X, Y, Z) healthy-class probabilities on a coarse grid (about 4 mm), background first.
    affine: (4, 4) grid index to scanner RAS+ mm.
    """
    points, centre = _brain_points(probability, affine)
    target = _centre_of_mass(1 - atlas.probability[0], atlas.affine)
    theta, loss = _start((0, 0, 0)), math.inf
    if len(points.mm):
        with one_thread_an_operation():
            lookup = Lookup.of(atlas)
            few = points.thinned(START_POINTS)
            fits = [_climb(_start(degrees), few, target, lookup, START_ITERATIONS) for degrees in STARTS_DEG]
            theta, _ = min(fits, key=lambda fit: fit[1])
            theta, loss = _climb(theta, points.thinned(POINTS), target, lookup, iterations)
    matrix, shift = _matrix(torch.from_numpy(theta))
    out = np.eye(4)
    out[:3, :3] = matrix.numpy()
    out[:3, 3] = (target + shift - matrix @ centre).numpy()
    return Pose(affine=out, log_posterior=-loss * EFFECTIVE_VOXELS)


def _brain_points(probability: Tensor, affine: NDArray[np.float64]) -> tuple[_Points, Tensor]:
    """The brain with a shell of about 12 mm around it, and its centre, scanner mm (3,)."""
    brain = 1 - probability[0]
    near = brain[None]
    for axis in range(3):  # the maximum over a cube, one axis at a time
        window = tuple(7 if a == axis else 1 for a in range(3))
        near = functional.max_pool3d(near, window, stride=1, padding=tuple(w // 2 for w in window))
    inside = near[0] > 0.3
    matrix = torch.from_numpy(affine)
    mm = inside.nonzero().double() @ matrix[:3, :3].T + matrix[:3, 3]
    centre = _centre_of_mass(brain * inside, affine)
    return _Points(mm=mm - centre, weights=probability[:, inside].T.contiguous()), centre


def _centre_of_mass(weight: Tensor, affine: NDArray[np.float64]) -> Tensor:
    """Of (X, Y, Z) weights, those under 0.1 left out, mm (3,) float64; the middle of the grid where there is none."""
    weight = (weight - 0.1).clamp_min(0).double()
    total = weight.sum()
    index = np.array([(n - 1) / 2 for n in weight.shape])
    if total > 0:
        for axis, others in enumerate(((1, 2), (0, 2), (0, 1))):
            index[axis] = weight.sum(dim=others) @ torch.arange(weight.shape[axis]).double() / total
    return torch.from_numpy(affine[:3, :3] @ index + affine[:3, 3])


def _start(degrees: tuple[int, int, int]) -> NDArray[np.float64]:
    rotation, scale = np.radians(degrees) / REST, np.full(3, SCALE_MEAN / REST)
    return np.concatenate([np.zeros(3), rotation, scale, np.zeros(3)])


def _matrix(theta: Tensor) -> tuple[Tensor, Tensor]:
    """theta: (12,) steps of shift, rotation, log-scale and shear -> linear part (3, 3) and shift (3,) in mm."""
    t, r, s, h = theta.view(4, 3)
    zero = torch.zeros((), dtype=theta.dtype)
    skew = torch.stack([zero, -r[2], r[1], r[2], zero, -r[0], -r[1], r[0], zero]).view(3, 3)
    shear = torch.stack([zero, h[0], h[1], zero, zero, h[2], zero, zero, zero]).view(3, 3)
    scaled = torch.diag(torch.exp(REST * s)) @ (torch.eye(3, dtype=theta.dtype) + REST * shear)
    return torch.linalg.matrix_exp(REST * skew) @ scaled, SHIFT_MM * t


def _climb(
    start: NDArray[np.float64], points: _Points, target: Tensor, lookup: Lookup, iterations: int
) -> tuple[NDArray[np.float64], float]:
    """L-BFGS from one start; the best theta (12,) and its loss (nats a voxel, lower is better)."""

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        theta = torch.from_numpy(values).requires_grad_(True)
        matrix, shift = _matrix(theta)
        mm = points.mm @ matrix.T + target + shift
        fit, slope = lookup.log_likelihood(mm.detach().float(), points.weights)
        scale, shear = REST * theta[6:9] - SCALE_MEAN, REST * theta[9:]
        prior = 0.5 * ((scale / SCALE_SD).square().sum() + (shear / SHEAR_SD).square().sum()) / EFFECTIVE_VOXELS
        # Its gradient in theta is the loss's own, by the chain rule.
        (gradient,) = torch.autograd.grad(prior - (slope * mm).sum(), theta)
        return prior.item() - fit, gradient.numpy()

    options = {"maxiter": iterations, "ftol": TOLERANCE}
    fit = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return fit.x, float(fit.fun)
