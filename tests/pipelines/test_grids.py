"""Maps and labels of the conformed grid come to other grids where they were, whatever the voxels there."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, map_coordinates

from pipelines.grids import LEAST_SAY, labels_on_grid, to_scanner_grid
from pipelines.preprocess import conform, to_ras_1mm
from tests.phantoms import centred_affine
from tests.pipelines.heads import a_head, reoriented, resampled, rotated
from triage.case import Volume

Labels = NDArray[np.uint8]
Affine = NDArray[np.float64]


def at_1_mm(shape: tuple[int, int, int] = (24, 20, 28), classes: int = 4) -> tuple[Labels, NDArray[np.float32]]:
    """Random labels, and an entropy between certain and more than two classes can have."""
    rng = np.random.default_rng(0)
    return rng.integers(0, classes, shape).astype(np.uint8), rng.uniform(0, 1, shape).astype(np.float32)


def a_ball(centre: tuple[float, float, float], radius: float = 9.0) -> Labels:
    x, y, z = np.ogrid[:40, :40, :40]
    away = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2
    return np.asarray(away < radius**2, np.uint8)


def voxels_of(spacing: tuple[float, float, float]) -> Affine:
    """Index of larger voxels to that of 1 mm ones, both grids from the same corner."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (np.array(spacing) - 1) / 2
    return affine


def sure(labels: Labels) -> NDArray[np.float32]:
    return np.zeros(labels.shape, np.float32)


def test_on_fine_voxels_a_label_is_that_of_the_nearest_voxel_at_the_same_millimetres() -> None:
    volume = rotated(reoriented(resampled(a_head(), (1.2, 0.9, 1.4)), (2, 0, 1), (1, -1, -1)))
    conformed = conform(volume)
    labels = np.random.default_rng(0).integers(0, 12, conformed.image.shape).astype(np.uint8)
    back = labels_on_grid(labels, sure(labels), conformed.affine, volume.affine, volume.array.shape)
    index = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"), axis=-1)
    mm = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    inverse = np.linalg.inv(conformed.affine)
    at = mm @ inverse[:3, :3].T + inverse[:3, 3]
    near = np.rint(at).astype(int)
    inside = ((near >= 0) & (near < labels.shape)).all(axis=-1)
    expected = np.where(inside, labels[tuple(np.moveaxis(np.where(inside[..., None], near, 0), -1, 0))], 0)
    between = np.abs(at - np.floor(at) - 0.5).min(axis=-1) < 1e-6  # as near to one voxel as to the next

    np.testing.assert_array_equal(back[~between], expected[~between])


@pytest.mark.parametrize("size", [(2, 2, 2), (1, 1, 4), (3, 1, 2)])
def test_a_large_voxel_gets_the_class_with_the_most_say_among_the_voxels_in_it(size: tuple[int, int, int]) -> None:
    labels, entropy = at_1_mm()
    shape = tuple(n // k for n, k in zip(labels.shape, size, strict=True))
    found = labels_on_grid(labels, entropy, np.eye(4), voxels_of(size), shape)

    for at in np.ndindex(*shape):
        box = tuple(slice(i * k, (i + 1) * k) for i, k in zip(at, size, strict=True))
        say = np.maximum(1 - entropy[box] / math.log(2), LEAST_SAY)
        votes = [say[labels[box] == number].sum() for number in range(4)]
        assert found[at] == int(np.argmax(votes))


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.0, 1.0, 6.0), (1.5, 2.5, 1.8)])
def test_labels_on_large_voxels_are_not_shifted(spacing: tuple[float, float, float]) -> None:
    """The nearest voxel would be half a millimetre off at 2 mm, on every border and always to the same side."""
    affine = voxels_of(spacing)
    shape = tuple(int(40 / s) for s in spacing)
    entropy = np.random.default_rng(0).uniform(0, 0.1, (40, 40, 40)).astype(np.float32)  # no vote is a tie
    shifts, sizes = [], []
    for centre in itertools.product((19.0, 19.5, 20.2), repeat=3):
        ball = a_ball(centre)
        found = labels_on_grid(ball, entropy, np.eye(4), affine, shape)
        there = affine[:3, :3] @ center_of_mass(found) + affine[:3, 3]
        shifts.append(there - center_of_mass(ball))
        sizes.append(found.sum() * math.prod(spacing) / ball.sum())

    assert np.abs(np.mean(shifts, axis=0)).max() < 0.25
    assert np.mean(sizes) == pytest.approx(1, abs=0.03)


def test_points_that_nobody_is_sure_of_are_outvoted_but_decide_among_themselves() -> None:
    labels = np.full((2, 2, 2), 1, np.uint8)
    labels[0, 0, 0] = 2
    entropy = np.full((2, 2, 2), 0.7, np.float32)
    one_sure = entropy.copy()
    one_sure[0, 0, 0] = 0

    assert labels_on_grid(labels, entropy, np.eye(4), voxels_of((2, 2, 2)), (1, 1, 1)).item() == 1
    assert labels_on_grid(labels, one_sure, np.eye(4), voxels_of((2, 2, 2)), (1, 1, 1)).item() == 2


def test_outside_the_crop_there_is_nothing() -> None:
    labels = np.full((8, 8, 8), 3, np.uint8)
    affine = voxels_of((2, 2, 2))
    affine[:3, 3] -= 8

    found = labels_on_grid(labels, sure(labels), np.eye(4), affine, (12, 12, 12))

    assert (found[4:8, 4:8, 4:8] == 3).all()
    assert (found == 3).sum() == 4**3


def test_on_an_oblique_grid_labels_are_those_of_scipy() -> None:
    labels, entropy = at_1_mm()
    affine = rotated(Volume(array=np.zeros((1, 1, 1), np.float32), affine=np.eye(4))).affine
    affine[:3, 3] = (4.03, -2.07, 3.01)
    shape = (20, 20, 20)
    found = labels_on_grid(labels, entropy, np.eye(4), affine, shape)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    at = np.einsum("ab,bxyz->axyz", affine[:3, :3], index) + affine[:3, 3][:, None, None, None]

    np.testing.assert_array_equal(found, map_coordinates(labels, at, order=0, mode="grid-constant"))


def test_a_turn_too_small_to_see_changes_next_to_nothing() -> None:
    """Parallel grids take a faster way: it gives what the way of all others gives."""
    labels, entropy = at_1_mm()
    affine = voxels_of((2, 2, 2))[[1, 2, 0, 3]]
    shape = (14, 12, 10)
    turned = affine.copy()
    turned[0, 0] += 1e-5
    found, slowly = (labels_on_grid(labels, entropy, np.eye(4), one, shape) for one in (affine, turned))

    assert (found == slowly).mean() > 0.99
    assert len(np.unique(found)) == 4


def test_a_continuous_map_comes_back_trilinear_at_the_same_millimetres() -> None:
    volume = reoriented(resampled(a_head(), (0.6, 0.9, 2.5)), (1, 2, 0), (-1, 1, -1))
    conformed = conform(volume)
    entropy = np.random.default_rng(0).random(conformed.image.shape).astype(np.float32)
    back = to_scanner_grid(entropy, conformed.affine, volume)
    to_index = np.linalg.inv(conformed.affine) @ volume.affine
    index = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"))
    at = np.einsum("ab,bxyz->axyz", to_index[:3, :3], index) + to_index[:3, 3][:, None, None, None]
    expected = map_coordinates(entropy, at, order=1, mode="grid-constant")

    np.testing.assert_allclose(back, expected, atol=1e-5)


def test_a_brain_at_the_edge_of_a_fine_grid_loses_no_voxel_on_the_way_back() -> None:
    volume = Volume(array=np.ones((40, 40, 40), np.float32), affine=centred_affine((40, 40, 40), (0.5, 0.5, 0.5)))
    array, affine = to_ras_1mm(volume)
    everywhere = np.ones(array.shape, np.uint8)

    assert labels_on_grid(everywhere, sure(everywhere), affine, volume.affine, volume.array.shape).all()
