"""The lesion's weights are refitted, and nothing else."""

import numpy as np
import torch
from scipy import optimize
from torch.nn.functional import cross_entropy

from models.posteriors.lesion import refit_lesion
from models.posteriors.likelihood import Target, by_voxel, log_probability

TARGET = Target(kappa=5.0, precision=2.0)
VOXEL = 6


def test_the_new_weights_are_where_a_general_optimiser_ends(head, images):
    trained = by_voxel(head)[VOXEL].double()

    def energy(row: np.ndarray) -> float:
        block = torch.cat([trained[:-1], torch.from_numpy(row)[None]])
        value = 0.5 * TARGET.precision * (block - trained).square().sum()
        for cells in images:
            each = cross_entropy((block @ cells.features.double()).T, cells.classes[VOXEL], reduction="none")
            value += (each * cells.weight).sum() / TARGET.kappa
        return float(value)

    expected = optimize.minimize(energy, trained[-1].numpy(), method="BFGS", options={"gtol": 1e-6}).x
    found = by_voxel(refit_lesion(head, images, target=TARGET))[VOXEL, -1]

    np.testing.assert_allclose(found.numpy(), expected, atol=0.02)


def test_what_a_healthy_voxel_is_stays_to_the_last_bit(head, images):
    new, old = by_voxel(refit_lesion(head, images, target=TARGET)), by_voxel(head)

    assert torch.equal(new[:, :-1], old[:, :-1])
    assert not torch.equal(new[:, -1], old[:, -1])
    p, q = (log_probability(blocks, images[0]).exp() for blocks in (new, old))
    torch.testing.assert_close(p[:, :-1] / (1 - p[:, -1:]), q[:, :-1] / (1 - q[:, -1:]))
