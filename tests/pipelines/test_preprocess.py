"""Conforming: whichever way a head was scanned, it lands on one grid, and comes back without a shift."""

import math
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to
from numpy.typing import NDArray

from models.network import SIDE_MULTIPLE, SMALLEST_SIDE
from pipelines.grids import to_scanner_grid
from pipelines.preprocess import (
    COARSE_MM,
    HEAD_HEIGHT_MM,
    LARGEST_FIELD_MM,
    MARGIN_MM,
    Conformed,
    conform,
    head_mask,
    normalise,
    to_ras_1mm,
)
from tests.phantoms import centred_affine
from tests.pipelines.heads import Axes, a_head, every_orientation, reoriented, resampled, rotated
from triage.case import Volume
from triage.errors import Code, Refusal


def zero_padded(volume: Volume, by: tuple[tuple[int, int], ...]) -> Volume:
    affine = volume.affine.copy()
    affine[:3, 3] = (affine @ [*(-low for low, _ in by), 1])[:3]
    return Volume(array=np.pad(volume.array, by), affine=affine)


def brightest_mm(conformed: Conformed) -> NDArray[np.float64]:
    index = np.unravel_index(int(conformed.image.argmax()), conformed.image.shape)
    return np.asarray((conformed.affine @ [*index, 1])[:3])


def refusal_of(array: NDArray[np.float32], affine: NDArray[np.float64] | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        conform(Volume(array=array.astype(np.float32), affine=np.eye(4) if affine is None else affine))
    return caught.value


@every_orientation
def test_a_marker_lands_where_it_was_and_comes_back_to_its_voxel(axes: Axes, flips: Axes) -> None:
    marked = replace(a_head(), array=a_head().array.copy())
    marker = (55, 61, 30)
    marked.array[marker] = 5000
    volume = rotated(reoriented(marked, axes, flips))
    voxel = np.unravel_index(int(volume.array.argmax()), volume.array.shape)
    conformed = conform(volume)
    back = to_scanner_grid(conformed.image, conformed.affine, volume)

    np.testing.assert_allclose(brightest_mm(conformed), (volume.affine @ [*voxel, 1])[:3], atol=1e-9)
    assert np.unravel_index(int(back.argmax()), back.shape) == voxel
    assert back.shape == volume.array.shape


@every_orientation
def test_the_conformed_image_is_the_same_whichever_way_it_was_stored(axes: Axes, flips: Axes) -> None:
    thick = resampled(a_head(), (1.2, 0.9, 2.5))
    expected = conform(thick)
    conformed = conform(reoriented(thick, axes, flips))

    np.testing.assert_allclose(conformed.image, expected.image, atol=1e-4)
    np.testing.assert_allclose(conformed.affine, expected.affine, atol=1e-9)
    assert (conformed.extent, conformed.cut) == (expected.extent, expected.cut)


@every_orientation
def test_conformed_axes_run_to_the_right_the_front_and_the_top(axes: Axes, flips: Axes) -> None:
    conformed = conform(reoriented(a_head(), axes, flips))

    np.testing.assert_allclose(conformed.affine[:3, :3], np.eye(3), atol=1e-12)


def test_of_an_oblique_scan_the_conformed_axes_stay_the_scanners() -> None:
    volume = rotated(a_head())
    conformed = conform(volume)

    np.testing.assert_allclose(conformed.affine[:3, :3], volume.affine[:3, :3], atol=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.2, 0.9, 2.5), (0.5, 0.5, 0.8), (2.0, 2.0, 2.0)])
def test_a_ramp_keeps_its_value_at_every_millimetre(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(40 / s) for s in spacing)
    affine = rotated(Volume(array=np.zeros(shape, np.float32), affine=centred_affine(shape, spacing))).affine
    slope = np.array([3.0, -2.0, 5.0])
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    ramp = (index @ affine[:3, :3].T + affine[:3, 3]) @ slope
    array, to = to_ras_1mm(Volume(array=ramp.astype(np.float32), affine=affine))
    inner = np.stack(np.meshgrid(*[np.arange(4, n - 4) for n in array.shape], indexing="ij"), axis=-1)
    expected = (inner @ to[:3, :3].T + to[:3, 3]) @ slope

    np.testing.assert_allclose(array[4:-4, 4:-4, 4:-4], expected, atol=1e-2)  # float32 of values up to 200


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 3.0), (1.3, 1.6, 2.2)])
def test_resampling_agrees_with_nibabel(spacing: tuple[float, float, float]) -> None:
    volume = resampled(a_head(), spacing)
    array, affine = to_ras_1mm(volume)
    image = nib.Nifti1Image(volume.array, volume.affine)
    expected = resample_from_to(image, (array.shape, affine), order=1, mode="nearest").get_fdata()

    np.testing.assert_allclose(array, expected, atol=2e-3)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 3.0), (0.7, 1.6, 2.2), (0.9995, 1.0, 1.0004)])
def test_both_grids_share_the_centre_of_every_outer_face_of_the_field_of_view(
    spacing: tuple[float, float, float],
) -> None:
    shape = (50, 60, 70)
    volume = Volume(array=np.ones(shape, np.float32), affine=centred_affine(shape, spacing))
    array, affine = to_ras_1mm(volume)
    low, low_1mm = volume.affine @ [-0.5, -0.5, -0.5, 1], affine @ [-0.5, -0.5, -0.5, 1]
    high = volume.affine @ [*(np.array(shape) - 0.5), 1]
    high_1mm = affine @ [*(np.array(array.shape) - 0.5), 1]

    np.testing.assert_allclose(low_1mm, low, atol=1e-6)
    assert np.abs(high_1mm - high).max() <= 0.5  # a field of view of 154.3 mm has 154 voxels


@pytest.mark.parametrize("by", [((9, 5), (0, 30), (7, 1)), ((1, 1), (50, 50), (3, 0))])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.2, 0.9, 2.5)])
def test_zero_padding_the_input_changes_nothing_of_the_crop(
    by: tuple[tuple[int, int], ...], spacing: tuple[float, float, float]
) -> None:
    volume = resampled(a_head(), spacing)
    before, after = conform(volume), conform(zero_padded(volume, by))

    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-9)
    assert (after.extent, after.cut, after.snr) == (before.extent, before.cut, before.snr)


@pytest.mark.parametrize("more", [4, 11, 60])
def test_it_does_not_matter_how_far_a_skull_stripped_head_is_padded(more: int) -> None:
    bare = replace(a_head(), array=np.where(a_head().array > 100, a_head().array, 0))
    before, after = conform(zero_padded(bare, ((1, 1),) * 3)), conform(zero_padded(bare, ((more, more),) * 3))

    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-9)
    assert after.cut == before.cut == (False,) * 6


def test_a_cube_with_neck_and_air_is_cropped_to_the_head_from_the_vertex_down() -> None:
    shape, vertex = (256, 256, 256), 230
    x, y, z = np.ogrid[tuple(slice(n) for n in shape)]
    head = ((x - 128) / 75) ** 2 + ((y - 128) / 95) ** 2 + ((z - (vertex - 100)) / 100) ** 2 <= 1
    neck = ((x - 128) / 55) ** 2 + ((y - 128) / 60) ** 2 + 0 * z <= 1
    array = (head | (neck & (z < 130))).astype(np.float32) * 800
    array += np.random.default_rng(0).normal(10, 3, shape).astype(np.float32)
    conformed = conform(Volume(array=array, affine=np.eye(4)))
    low = conformed.affine[:3, 3]
    high = low + conformed.extent
    slack = MARGIN_MM + 2 * COARSE_MM

    assert vertex <= high[2] <= vertex + slack
    assert vertex - HEAD_HEIGHT_MM - slack <= low[2] <= vertex - HEAD_HEIGHT_MM + slack
    np.testing.assert_allclose(low[:2], [128 - 75, 128 - 95], atol=slack)
    np.testing.assert_allclose(high[:2], [128 + 75, 128 + 95], atol=slack)
    assert conformed.cut == (False,) * 6  # the neck was left out, not cut off


def test_thick_slices_become_millimetres_over_the_same_head() -> None:
    thick = resampled(a_head(), (1.0, 1.0, 5.0))
    conformed, fine = conform(thick), conform(a_head())

    assert thick.array.shape[2] == 18
    np.testing.assert_allclose(conformed.extent, fine.extent, atol=2 * COARSE_MM)
    np.testing.assert_allclose(conformed.affine[:3, 3], fine.affine[:3, 3], atol=2 * COARSE_MM)


def test_sides_suit_the_network_and_beyond_the_extent_there_is_nothing() -> None:
    conformed = conform(a_head())
    beyond = conformed.image.copy()
    beyond[tuple(slice(n) for n in conformed.extent)] = 0

    assert all(n % SIDE_MULTIPLE == 0 and n >= SMALLEST_SIDE for n in conformed.image.shape)
    assert not beyond.any()
    assert conformed.image.dtype == np.float32


def test_the_crop_is_the_image_itself_normalised_by_one_straight_line() -> None:
    conformed, volume = conform(a_head()), a_head()
    back = to_scanner_grid(conformed.image, conformed.affine, volume)
    line = (back > 0.05) & (back < 1.2)
    slope, offset = np.polyfit(volume.array[line], back[line], 1)

    np.testing.assert_allclose(back[line], slope * volume.array[line] + offset, atol=1e-5)


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1e-8, 0.0), (1e5, -4e6), (0.1, 300.0)])
def test_normalise_does_not_see_a_change_of_scale_or_offset(scale: float, shift: float) -> None:
    image = a_head().array

    np.testing.assert_allclose(
        normalise((image.astype(np.float64) * scale + shift).astype(np.float32)), normalise(image), atol=1e-3
    )


def test_normalise_puts_air_at_nought_and_the_bright_head_at_one() -> None:
    normal = normalise(a_head().array)

    assert normal.min() >= 0 and normal.max() <= 1.5
    assert np.median(normal[a_head().array < 50]) == pytest.approx(0, abs=0.03)
    assert np.median(normal[a_head().array > 880]) == pytest.approx(1, abs=0.03)


def test_normalise_of_nothing_is_nothing() -> None:
    assert not normalise(np.full((9, 9, 9), 7, np.float32)).any()


def test_one_bright_artefact_does_not_darken_the_head() -> None:
    image = a_head().array.copy()
    image[44, 50, 46] = 1e7

    np.testing.assert_allclose(np.median(normalise(image)), np.median(normalise(a_head().array)), atol=1e-2)


def test_snr_is_the_mean_of_the_head_over_the_spread_of_the_air() -> None:
    conformed = conform(a_head())
    head = a_head().array > 100
    expected = a_head().array[head].mean() / a_head().array[~head].std()

    assert conformed.snr == pytest.approx(expected, rel=0.1)  # the mask is made of 4 mm blocks


def test_a_skull_stripped_image_without_air_has_no_snr() -> None:
    bare = replace(a_head(), array=np.where(a_head().array > 100, a_head().array, 0))

    assert math.isnan(conform(bare).snr)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("last", [0, 1])
def test_cut_tells_which_end_of_the_field_of_view_cut_the_head(axis: int, last: int) -> None:
    volume = a_head()
    middle = volume.array.shape[axis] // 2
    keep: list[slice] = [slice(None)] * 3
    keep[axis] = slice(None, middle + 16) if last else slice(middle - 16, None)
    start = [s.start or 0 for s in keep]
    affine = volume.affine.copy()
    affine[:3, 3] = (affine @ [*start, 1])[:3]
    half = Volume(array=np.ascontiguousarray(volume.array[tuple(keep)]), affine=affine)
    expected = [False] * 6
    expected[2 * axis + last] = True

    assert list(conform(half).cut) == expected
    assert list(conform(reoriented(half, (2, 0, 1), (-1, 1, -1))).cut) == expected


def test_the_head_is_the_largest_body_not_the_coil_marker_beside_it() -> None:
    array = a_head((120, 100, 92)).array.copy()
    array[2:12, 2:12, 2:12] = 1000
    mask = head_mask(array)

    assert not mask[:4, :4, :4].any()
    assert mask[15, 12, 11]


@pytest.mark.parametrize("axis", range(3))
def test_a_head_whose_middle_slices_have_no_signal_is_kept_on_both_sides(axis: int) -> None:
    volume = a_head()
    array = volume.array.copy()
    array[tuple(slice(40, 54) if a == axis else slice(None) for a in range(3))] = 0

    damaged, whole = conform(Volume(array=array, affine=volume.affine)), conform(volume)

    assert damaged.extent[axis] >= whole.extent[axis] - 2 * COARSE_MM


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros((64, 64, 64)), Code.BAD_VALUES),
        (np.full((64, 64, 64), 300), Code.BAD_VALUES),
        (np.full((64, 64, 64), np.nan), Code.BAD_VALUES),
        (np.where(np.eye(64, dtype=bool), np.nan, np.ones((64, 64, 64))), Code.BAD_VALUES),
        (np.arange(3).reshape(3, 1, 1) + 1, Code.COVERAGE),
        (np.arange(27).reshape(3, 3, 3) + 1, Code.COVERAGE),
        (np.zeros((0, 64, 64)), Code.BAD_VALUES),
    ],
    ids=["empty", "constant", "not numbers", "some not numbers", "3 voxels", "27 voxels", "no voxels"],
)
def test_what_holds_no_head_is_refused_with_its_code(array: NDArray[np.float32], code: Code) -> None:
    refusal = refusal_of(array)

    assert refusal.code is code
    assert refusal.do


def test_a_body_larger_than_a_head_is_refused() -> None:
    shape = (100, 60, 90)  # at 4 mm: 400 x 240 x 360
    x, y, z = np.ogrid[tuple(slice(n) for n in shape)]
    body = ((x - 50) / 45) ** 2 + ((y - 30) / 25) ** 2 + 0 * z <= 1
    refusal = refusal_of(900.0 * body + np.random.default_rng(0).normal(10, 3, shape), np.diag([4.0, 4.0, 4.0, 1.0]))

    assert refusal.code is Code.COVERAGE
    assert "mm long on one axis" in refusal.message


def test_a_wrong_unit_of_length_is_refused_before_memory_is_asked_for() -> None:
    refusal = refusal_of(a_head().array, np.diag([1000.0, 1000.0, 1000.0, 1.0]))  # micrometres taken for millimetres

    assert refusal.code is Code.COVERAGE
    assert f"{LARGEST_FIELD_MM} mm is the most" in refusal.message
