"""The closed forms of the likelihood against torch's own derivatives, and the design effect where it is known."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from models.cells import Cells
from models.network import SUBVOXELS
from models.posteriors.likelihood import (
    Target,
    as_head,
    by_voxel,
    design_effect,
    hessian,
    log_loss,
    loss_and_gradient,
    subject_gradients,
)

VOXELS = [0, 5]


def loss_of(cells: Cells, voxel: int, weights: torch.Tensor) -> torch.Tensor:
    """By torch. weights: (C, D)."""
    each = cross_entropy((weights @ cells.features.double()).T, cells.classes[voxel], reduction="none")
    return (each * cells.weight).sum()


def test_a_head_in_blocks_comes_back():
    head = torch.randn(5, 24, 7)

    assert torch.equal(as_head(by_voxel(head)), head)


@pytest.mark.parametrize("voxel", VOXELS)
def test_a_block_holds_the_rows_of_its_voxel_as_the_network_orders_them(voxel):
    head = torch.arange(24 * 7.0).view(24, 7)

    assert torch.equal(by_voxel(head)[voxel], head.view(3, SUBVOXELS, 7)[:, voxel])


@pytest.mark.parametrize("voxel", VOXELS)
def test_the_loss_and_its_derivatives_are_those_of_torch(head, images, voxel):
    blocks = by_voxel(head)
    weights = blocks[voxel].double().requires_grad_()
    expected = loss_of(images[0], voxel, weights)
    slope = torch.autograd.grad(expected, weights)[0]
    curvature = torch.autograd.functional.hessian(
        lambda flat: loss_of(images[0], voxel, flat.view(weights.shape)), weights.detach().flatten()
    )

    loss, gradient = loss_and_gradient(blocks, images[0])

    torch.testing.assert_close(loss[voxel], expected.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(log_loss(blocks, images[0])[voxel], loss[voxel])
    torch.testing.assert_close(gradient[voxel], slope, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(hessian(blocks, images[0])[voxel], curvature, rtol=1e-4, atol=1e-3)


def test_the_energy_is_the_tempered_loss_and_the_prior_around_the_trained_head(head, images):
    target = Target(kappa=4.0, precision=3.0)
    trained = by_voxel(head)
    blocks = trained + 0.1
    weights = torch.rand(len(images))

    energy, gradient = target.energy(blocks, trained, images, weights)

    losses = sum(float(w) * log_loss(blocks, cells) for w, cells in zip(weights, images, strict=True))
    torch.testing.assert_close(energy, losses / 4 + 3 / 2 * 0.01 * blocks[0].numel(), rtol=1e-5, atol=0)
    step = 1e-2
    for row, column in ((0, 0), (2, 1)):
        moved = blocks.clone()
        moved[:, row, column] += step
        slope = (target.energy(moved, trained, images, weights)[0] - energy) / step
        torch.testing.assert_close(slope, gradient[:, row, column], rtol=0.02, atol=0.2)


def test_the_gradient_of_a_subject_is_the_sum_over_its_images(head, images):
    blocks = by_voxel(head)

    gradients = subject_gradients(blocks, images)

    expected = loss_and_gradient(blocks, images[1])[1] + loss_and_gradient(blocks, images[5])[1]
    torch.testing.assert_close(gradients[1], expected)


def clustered(copies: int) -> list[Cells]:
    """400 subjects of one independent cell each, every cell then counted `copies` times."""
    generator = torch.Generator().manual_seed(0)
    images = []
    for subject in range(400):
        classes = torch.randint(2, (SUBVOXELS, 1), generator=generator).expand(-1, copies)
        ones = torch.ones(1, copies)
        images.append(Cells(subject=f"{subject}", features=ones, classes=classes, weight=ones[0]))
    return images


@pytest.mark.parametrize("copies", [1, 10])
def test_cells_that_repeat_one_another_ten_times_have_a_design_effect_of_ten(copies):
    effect = design_effect(torch.zeros(SUBVOXELS, 2, 1), clustered(copies))

    assert effect == pytest.approx(copies, rel=0.05)
