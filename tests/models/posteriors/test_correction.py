"""Corrections move the head; what the live head has learnt holds it."""

from dataclasses import replace

import numpy as np
import torch
from scipy import optimize
from torch.nn.functional import cross_entropy

from models.posteriors.correction import correct_head
from models.posteriors.likelihood import Target, by_voxel, log_loss

TARGET = Target(kappa=5.0, precision=2.0)
VOXEL = 6


def test_without_corrections_the_live_head_stays(head, images):
    found = correct_head(head, images, [], target=TARGET)

    torch.testing.assert_close(found, head)


def test_the_new_head_is_where_a_general_optimiser_ends(head, images):
    held, corrected = images[:-1], images[-1:]
    live = by_voxel(head)[VOXEL].double().requires_grad_()

    def loss(block: torch.Tensor, cells) -> torch.Tensor:
        logits = (block @ cells.features.double()).T
        return (cross_entropy(logits, cells.classes[VOXEL], reduction="none") * cells.weight).sum() / TARGET.kappa

    pull = torch.autograd.grad(sum(loss(live, cells) for cells in held), live)[0]

    def energy(flat: np.ndarray) -> tuple[float, np.ndarray]:
        block = torch.from_numpy(flat).view(live.shape).requires_grad_()
        move = block - live.detach()
        kept = sum(loss(block, cells) for cells in held) - (pull * move).sum() + move.square().sum()
        value = kept + sum(loss(block, cells) for cells in corrected)
        return value.item(), torch.autograd.grad(value, block)[0].flatten().numpy()

    start = live.detach().flatten().numpy()
    expected = optimize.minimize(energy, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-6}).x
    found = by_voxel(correct_head(head, held, corrected, target=TARGET))[VOXEL]

    np.testing.assert_allclose(found.flatten().numpy(), expected, atol=0.02)


def test_corrected_scans_are_explained_better_the_more_they_weigh(head, images):
    held, corrected = images[:-1], images[-1]

    def loss(weight: float) -> float:
        heavier = replace(corrected, weight=weight * corrected.weight)
        moved = correct_head(head, held, [heavier], target=TARGET)
        return float(log_loss(by_voxel(moved), corrected).sum())

    losses = [loss(weight) for weight in (0.0, 1.0, 10.0)]

    assert losses == sorted(losses, reverse=True)


def test_the_same_input_gives_the_same_bits(head, images):
    first, second = (correct_head(head, images[:-1], images[-1:], target=TARGET) for _ in range(2))

    assert torch.equal(first, second)
