"""What a scanner and a patient do to an image."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipelines.artefacts import ghosted, moved, rician, smooth_field, thickened, turned, voided
from pipelines.sample_heads import Grid, Head, acquire
from tests.phantoms import centred_affine
from triage.case import Volume

COARSE = Grid(axes="LPS", shape=(64, 80, 64), spacing_mm=(3.0, 3.0, 3.0))
FAR = {"turn_deg": (6, 13), "shift_mm": (15, 36)}


@pytest.fixture(scope="module")
def still() -> Volume:
    return acquire(Head(seed=1, noise=0.0), COARSE)


def random_volume(shape: tuple[int, int, int] = (8, 9, 10), spacing: tuple[float, float, float] = (1, 1, 1)) -> Volume:
    return Volume(array=np.random.default_rng(0).random(shape, np.float32), affine=centred_affine(shape, spacing))


def test_a_smooth_field_has_unit_variance_and_varies_slowly() -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_field((40, 40, 40), (10, 10, 10), rng) for _ in range(60)])

    assert fields.var() == pytest.approx(1, abs=0.1)
    assert np.diff(fields, axis=1).std() < 0.2


def test_noise_in_air_has_the_mean_of_a_rayleigh_variable() -> None:
    air = rician(np.zeros((60, 60, 60), np.float32), 2.0, np.random.default_rng(0))

    assert air.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)


def test_motion_throws_ghosts_into_the_air_and_keeps_the_grid(still: Volume) -> None:
    shaken = moved(still, axis=1, shots=16, rng=np.random.default_rng(0), **FAR)
    air = still.array < 5

    assert np.array_equal(shaken.affine, still.affine)
    assert shaken.array.shape == still.array.shape
    assert shaken.array[air].mean() > 10 * still.array[air].mean()


def test_a_head_that_never_moved_is_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.artefacts.MOVES", 0)
    volume = random_volume()

    shaken = moved(volume, axis=1, shots=3, rng=np.random.default_rng(0), **FAR)

    np.testing.assert_allclose(shaken.array, volume.array, atol=1e-5)


def test_a_head_at_rest_in_all_shots_is_unchanged() -> None:
    volume = random_volume()

    shaken = moved(volume, axis=1, shots=4, at_rest=4, rng=np.random.default_rng(0), **FAR)

    np.testing.assert_allclose(shaken.array, volume.array, atol=1e-5)


def test_a_move_is_as_far_in_millimetres_on_any_grid() -> None:
    points = np.zeros((41, 41, 41), np.float32)
    points[20, 20, 20] = 1
    shift = {"turn_deg": (0, 0), "shift_mm": (6, 6)}

    shown = [
        moved(
            Volume(array=points, affine=np.diag([s, s, s, 1.0])), axis=1, shots=1, rng=np.random.default_rng(1), **shift
        )
        for s in (1.0, 2.0)
    ]

    assert [int(20 - np.argmax(v.array[20, :, 20])) for v in shown] == [6, 3]


def test_thick_slices_are_the_means_of_the_thin_ones_they_cover() -> None:
    volume = random_volume((4, 5, 12))

    thick = thickened(volume, axis=2, slice_mm=3.0)

    np.testing.assert_allclose(thick.array, volume.array.reshape(4, 5, 4, 3).mean(axis=3), rtol=1e-5)


def test_a_thick_slice_that_ends_within_a_thin_one_takes_its_share_of_it() -> None:
    volume = random_volume((4, 5, 3), (1, 1, 2))
    thin = volume.array

    thick = thickened(volume, axis=2, slice_mm=3.0)

    expected = np.stack([(2 * thin[..., 0] + thin[..., 1]) / 3, (thin[..., 1] + 2 * thin[..., 2]) / 3], axis=2)
    np.testing.assert_allclose(thick.array, expected, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_thick_slice_lies_where_its_thin_ones_lay(axis: int) -> None:
    volume = random_volume((12, 12, 12), (1, 1.5, 2))
    thick = thickened(volume, axis=axis, slice_mm=2 * volume.spacing_mm[axis])
    pair = np.zeros((2, 4))
    pair[:, 3], pair[1, axis] = 1, 1

    between = (pair @ volume.affine.T).mean(axis=0)

    np.testing.assert_allclose(thick.affine @ [0, 0, 0, 1], between)
    np.testing.assert_allclose(thick.spacing_mm[axis], 2 * volume.spacing_mm[axis])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 1.0)])
def test_a_quarter_turn_takes_what_is_in_front_to_the_left(spacing: tuple[float, float, float]) -> None:
    array = np.zeros((21, 21, 21), np.float32)
    volume = Volume(array=array, affine=centred_affine(array.shape, spacing))
    front = np.rint(np.linalg.inv(volume.affine) @ [0, 6, 0, 1]).astype(int)
    array[tuple(front[:3])] = 1

    after = turned(volume, Rotation.from_euler("z", 90, degrees=True))

    brightest = np.unravel_index(after.array.argmax(), array.shape)
    np.testing.assert_allclose((volume.affine @ [*brightest, 1])[:3], [-6, 0, 0])


def test_a_ghost_of_every_second_line_is_a_copy_half_a_field_away() -> None:
    image = np.zeros((3, 16, 3), np.float32)
    image[1, 4, 1] = 1

    ghost = ghosted(image, axis=1, every=2, strength=0.5)

    np.testing.assert_allclose(ghost[1, [4, 12], 1], [0.75, 0.25], atol=1e-6)
    assert ghost.sum() == pytest.approx(1, abs=1e-5)


def test_metal_leaves_a_hole_with_a_bright_rim_and_the_rest_as_it_was() -> None:
    volume = Volume(array=np.ones((61, 61, 61), np.float32), affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    at_mm = 2.0 * (np.arange(61) - 30)

    profile = voided(volume, centre=(30, 30, 30), radius_mm=10).array[:, 30, 30]

    assert (profile[np.abs(at_mm) < 10] == 0).all()
    assert profile[np.abs(at_mm) == 10] == pytest.approx(1.8)
    np.testing.assert_allclose(profile[np.abs(at_mm) >= 30], 1)
