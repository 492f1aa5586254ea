"""The mode of the posterior against a general optimiser in full precision."""

import numpy as np
import pytest
import torch
from scipy import optimize
from torch.nn.functional import cross_entropy

from models.posteriors.likelihood import Target, by_voxel
from models.posteriors.mode import find_mode, refit

TARGET = Target(kappa=5.0, precision=2.0)
VOXEL = 3


def brute_force(head, images, weights) -> np.ndarray:
    """The mode of one voxel by BFGS on torch's cross-entropy. weights: one an image."""
    trained = by_voxel(head)[VOXEL].double()

    def energy(flat: np.ndarray) -> float:
        block = torch.from_numpy(flat).view(trained.shape)
        value = 0.5 * TARGET.precision * (block - trained).square().sum()
        for weight, cells in zip(weights, images, strict=True):
            each = cross_entropy((block @ cells.features.double()).T, cells.classes[VOXEL], reduction="none")
            value += weight * (each * cells.weight).sum() / TARGET.kappa
        return float(value)

    return optimize.minimize(energy, trained.flatten().numpy(), method="BFGS", options={"gtol": 1e-6}).x


@pytest.mark.parametrize("weights", [[1.0] * 8, [4.0, 0.0, 0.5, 1.0] * 2])
def test_a_refit_is_where_a_general_optimiser_ends(head, images, weights):
    trained = by_voxel(head).double()
    start = find_mode(head, images, TARGET)

    found = refit(start, trained, images, TARGET, torch.tensor(weights))[VOXEL].flatten()

    away = found - torch.from_numpy(brute_force(head, images, weights))
    sd = torch.cholesky_inverse(start.factor[VOXEL]).diagonal().sqrt()
    assert float((away / sd).abs().max()) < 0.03


def test_white_coordinates_have_the_curvature_of_a_standard_normal(head, images):
    mode = find_mode(head, images, TARGET)
    white = torch.randn(8, mode.blocks[0].numel(), dtype=torch.float64)

    step = (mode.to_weights(white) - mode.blocks).flatten(1)

    energy = torch.einsum("vi,vij,vj->v", step, TARGET.hessian(mode.blocks, images), step)
    torch.testing.assert_close(energy, white.square().sum(dim=1))
