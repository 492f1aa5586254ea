"""The closed forms by which the bundle's posterior is fitted, against torch's own derivatives."""

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy

from models.network import SUBVOXELS
from models.posteriors.laplace import sandwich_directions
from pipelines.build_bundle import RIDGE, Cells, _cross_entropy_hessian, fit_directions
from triage.anatomy import LESION, N_CLASSES

D = 3


def test_the_hessian_of_the_cross_entropy_is_that_of_autograd():
    n, n_classes = 12, 4
    features, weights = torch.randn(D, n, dtype=torch.float64), torch.randn(n_classes, D, dtype=torch.float64)
    classes = torch.randint(n_classes, (n,))

    def loss(w: torch.Tensor) -> torch.Tensor:
        return cross_entropy((w.view(n_classes, D) @ features).T, classes, reduction="sum")

    expected = torch.autograd.functional.hessian(loss, weights.flatten())
    closed_form = _cross_entropy_hessian(torch.softmax(weights @ features, dim=0), features)

    torch.testing.assert_close(closed_form, expected)


@pytest.fixture
def cells() -> list[Cells]:
    """Two images of each of three subjects."""
    generator = torch.Generator().manual_seed(0)
    return [
        Cells(
            subject=subject,
            features=torch.randn(D, 20, generator=generator),
            classes=torch.randint(N_CLASSES, (SUBVOXELS, 20), generator=generator),
            pooled=torch.zeros(1),
        )
        for subject in "abcabc"
    ]


@pytest.fixture
def head() -> torch.Tensor:
    return torch.randn(N_CLASSES * SUBVOXELS, D, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("voxel", [0, 5])
def test_the_directions_of_each_of_a_cells_eight_voxels_are_the_sandwich_of_its_healthy_classes(cells, head, voxel):

    own = head.view(N_CLASSES, SUBVOXELS, D)[:LESION, voxel].double().flatten()

    def loss(weights: torch.Tensor, subjects: str = "abc") -> torch.Tensor:
        scores = [(weights.view(LESION, D) @ c.features.double()).T for c in cells if c.subject in subjects]
        classes = torch.cat([c.classes[voxel] for c in cells if c.subject in subjects])
        healthy = classes != LESION
        return cross_entropy(torch.cat(scores)[healthy], classes[healthy], reduction="sum")

    hessian = torch.autograd.functional.hessian(loss, own)
    gradients = [torch.autograd.functional.jacobian(partial(loss, subjects=subject), own) for subject in "abc"]
    ridge = RIDGE * float(hessian.diagonal().mean())
    expected = sandwich_directions(hessian, torch.stack(gradients), ridge)
    directions = fit_directions(cells, head).view(3, N_CLASSES, SUBVOXELS, D)[:, :LESION, voxel]

    torch.testing.assert_close(directions.double().flatten(1), expected, rtol=1e-3, atol=1e-3)


def test_the_weights_of_the_lesion_are_not_moved_by_label_maps_that_mostly_have_none(cells, head):
    directions = fit_directions(cells, head).view(3, N_CLASSES, SUBVOXELS, D)

    assert not bool(directions[:, LESION].any())
