"""The mode of the posterior against a general optimiser in full precision."""

import numpy as np
import torch
from scipy import optimize
from torch.nn.functional import cross_entropy

from models.posteriors.likelihood import Target, by_voxel
from models.posteriors.mode import Mode, mode_at, refit

TARGET = Target(kappa=5.0, precision=2.0)
VOXEL = 3


def brute_force(mode: Mode, images, weights) -> np.ndarray:
    """The mode of one voxel by BFGS on torch's cross-entropy. weights: one an image."""
    centre = mode.centre[VOXEL]

    def energy(flat: np.ndarray) -> float:
        block = torch.from_numpy(flat).view(centre.shape)
        value = 0.5 * TARGET.precision * (block - centre).square().sum()
        for weight, cells in zip(weights, images, strict=True):
            each = cross_entropy((block @ cells.features.double()).T, cells.classes[VOXEL], reduction="none")
            value += weight * (each * cells.weight).sum() / TARGET.kappa
        return float(value)

    return optimize.minimize(energy, np.zeros(centre.numel()), method="BFGS", options={"gtol": 1e-6}).x


def sds_apart(mode: Mode, found: torch.Tensor, expected: np.ndarray) -> float:
    """Largest distance of a weight in posterior SDs. found: (C, D)."""
    sd = torch.cholesky_inverse(mode.factor[VOXEL]).diagonal().sqrt()
    return float(((found.flatten() - torch.from_numpy(expected)) / sd).abs().max())


def test_the_mode_is_the_trained_head(head, images):
    mode = mode_at(head, images, TARGET)

    assert torch.equal(mode.blocks.float(), by_voxel(head))
    assert sds_apart(mode, mode.blocks[VOXEL], brute_force(mode, images, [1.0] * 8)) < 0.03


def test_a_refit_on_reweighted_images_is_where_a_general_optimiser_ends(head, images):
    weights = [4.0, 0.0, 0.5, 1.0] * 2
    mode = mode_at(head, images, TARGET)

    found = refit(mode, images, TARGET, torch.tensor(weights))[VOXEL]

    assert sds_apart(mode, found, brute_force(mode, images, weights)) < 0.03


def test_white_coordinates_have_the_curvature_of_a_standard_normal(head, images):
    mode = mode_at(head, images, TARGET)
    white = torch.randn(8, mode.blocks[0].numel(), dtype=torch.float64)

    step = (mode.to_weights(white) - mode.blocks).flatten(1)

    energy = torch.einsum("vi,vij,vj->v", step, TARGET.hessian(mode.blocks, images), step)
    torch.testing.assert_close(energy, white.square().sum(dim=1))


def test_the_derivative_by_white_coordinates_is_that_of_the_energy(head, images):
    mode = mode_at(head, images, TARGET)
    white = torch.randn(8, mode.blocks[0].numel(), dtype=torch.float64)
    blocks = mode.to_weights(white)
    energy, gradient = TARGET.energy(blocks, mode.centre, images)

    step = 1e-3 * torch.randn(white.shape, dtype=torch.float64)
    moved = TARGET.energy(mode.to_weights(white + step), mode.centre, images)[0]

    expected = (mode.to_white_gradient(gradient) * step).sum(dim=1)
    torch.testing.assert_close(moved - energy, expected, rtol=0.05, atol=1e-3)
