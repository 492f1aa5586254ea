"""Graded damage: repeatable, worse with the level, and in the place that the geometry says."""

import nibabel as nib
import numpy as np
import pytest

from pipelines.artefacts import rician
from pipelines.degrade import DEGRADATIONS, LEVELS, OTHER_GRID, moved_labels
from tests.builders import a_volume
from tests.phantoms import centred_affine, onto, phantom_image, phantom_labels, sagittal_affine
from triage.case import Volume

GRADED = sorted(set(DEGRADATIONS) - {"left_right_flip"})
ON_THE_SAME_GRID = sorted(set(DEGRADATIONS) - OTHER_GRID)


@pytest.fixture(scope="module")
def clean() -> Volume:
    """A phantom head, 2 mm, in air with a little noise, its slices sagittal."""
    labels = phantom_labels((96, 112, 96))
    image = np.pad(phantom_image(labels, noise=0), 8)
    shape = (64, 56, 56)
    to = sagittal_affine(shape, (2.0, 2.0, 2.0))
    array = onto(image * 1000, centred_affine(image.shape), shape, to, order=1)
    return Volume(array=rician(array, 2.0, np.random.default_rng(0)).astype(np.float32), affine=to)


def degraded(clean: Volume, name: str, level: int, seed: int = 3) -> Volume:
    return DEGRADATIONS[name](clean, level, np.random.default_rng(seed))


def similarity(clean: Volume, volume: Volume) -> float:
    """Correlation with the clean scan on its own grid, zero where the volume has no voxel."""
    back = onto(volume.array, volume.affine, clean.array.shape, clean.affine, order=1)
    return float(np.corrcoef(clean.array.ravel(), back.ravel())[0, 1])


@pytest.mark.parametrize("name", GRADED)
def test_every_level_does_more_damage_than_the_one_before(clean: Volume, name: str) -> None:
    likeness = [similarity(clean, degraded(clean, name, level)) for level in LEVELS]

    assert likeness == sorted(likeness, reverse=True)
    assert likeness[0] > 0.93
    assert likeness[-1] < likeness[0] - 0.02


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_same_seed_does_the_same_damage(clean: Volume, name: str) -> None:
    one, other = (degraded(clean, name, 3, seed=8) for _ in range(2))

    assert np.array_equal(one.array, other.array)
    assert np.array_equal(one.affine, other.affine)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_original_is_left_alone(clean: Volume, name: str) -> None:
    array, affine = clean.array.copy(), clean.affine.copy()

    result = degraded(clean, name, 5)

    assert np.array_equal(clean.array, array)
    assert np.array_equal(clean.affine, affine)
    assert result.array.dtype == np.float32
    assert np.isfinite(result.array).all()


@pytest.mark.parametrize("name", ON_THE_SAME_GRID)
def test_damage_that_is_not_of_the_grid_keeps_it(clean: Volume, name: str) -> None:
    result = degraded(clean, name, 4)

    assert result.array.shape == clean.array.shape
    assert np.array_equal(result.affine, clean.affine)


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("level", [0, 6])
def test_a_level_that_does_not_exist_is_refused(clean: Volume, name: str, level: int) -> None:
    with pytest.raises(ValueError, match=f"level must be one of .*, got {level}"):
        degraded(clean, name, level)


@pytest.mark.parametrize("name", sorted(set(DEGRADATIONS) - {"rotation", "left_right_flip"}))
def test_where_no_label_moves_the_head_stays_in_its_place(clean: Volume, name: str) -> None:
    """No shift by 4 mm along any axis makes the degraded scan more like the clean one."""
    here = similarity(clean, degraded(clean, name, 2))
    shifts = [np.eye(4)[axis][:3] * mm for axis in range(3) for mm in (-4, 4)]

    for shift in shifts:
        result = degraded(clean, name, 2)
        elsewhere = result.affine.copy()
        elsewhere[:3, 3] += shift
        assert similarity(clean, Volume(array=result.array, affine=elsewhere)) < here


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_labels_move_with_the_head_and_with_nothing_else(clean: Volume, name: str) -> None:
    """Damaged and then marked, or marked and then damaged: the same marks, but for the interpolation at their rims."""
    marks = Volume(array=(clean.array > 500).astype(np.float32), affine=clean.affine)
    moved = moved_labels(name, marks, 3, np.random.default_rng(3)).array

    assert set(np.unique(moved)) <= {0, 1}
    if name in {"rotation", "left_right_flip"}:
        damaged = degraded(clean, name, 3).array > 500
        assert 2 * (damaged & (moved > 0)).sum() / (damaged.sum() + moved.sum()) > 0.9
        assert not np.array_equal(moved, marks.array)
    else:
        assert np.array_equal(moved, marks.array)


def test_a_flip_puts_the_right_on_the_left() -> None:
    volume = a_volume()
    there_and_back = degraded(degraded(volume, "left_right_flip", 1), "left_right_flip", 1)
    x = nib.affines.apply_affine(volume.affine, np.argwhere(volume.array > 0))[:, 0]

    flipped = degraded(volume, "left_right_flip", 1)

    assert np.array_equal(there_and_back.array, volume.array)
    weight = volume.array[volume.array > 0]
    mirrored = nib.affines.apply_affine(volume.affine, np.argwhere(flipped.array > 0))[:, 0]
    assert np.average(mirrored, weights=flipped.array[flipped.array > 0]) == pytest.approx(
        -np.average(x, weights=weight), abs=1e-3
    )


def test_an_inverted_contrast_has_csf_brighter_than_grey_and_grey_brighter_than_white() -> None:
    labels = phantom_labels()
    volume = Volume(array=phantom_image(labels, noise=0), affine=centred_affine(labels.shape))

    inverted = degraded(volume, "contrast_inversion", 5).array

    csf, grey, white = (np.median(inverted[labels == c]) for c in (6, 2, 3))
    assert csf > grey > white


def test_missing_slices_are_axial_and_as_many_as_the_level_says(clean: Volume) -> None:
    lost = degraded(clean, "missing_slices", 3).array == 0

    assert lost.all(axis=(0, 2)).sum() == 16 / 2


def test_thick_slices_are_axial(clean: Volume) -> None:
    result = degraded(clean, "thick_slices", 5)

    assert result.spacing_mm == pytest.approx((2.0, 9.0, 2.0))
