"""The scanner: motion by the shift theorem, the normalisation of the main path, noise, fields of view."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.synthesis import Recipe, normalised, synthesise
from models.synthesis.blur import gaussian_blur, softened
from models.synthesis.draws import Draws
from models.synthesis.scanner import field_of_view, moved, rician
from pipelines.preprocess import normalise
from tests.models.synthesis.heads import SHAPE, head


def volume(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_the_normalisation_is_that_of_the_main_path():
    for image in (volume(20, 21, 22) * 300 - 5, torch.zeros(8, 8, 8), torch.full((8, 8, 8), 3.0)):
        np.testing.assert_allclose(normalised(image), normalise(image.numpy()), atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_head_that_is_still_has_no_ghost(axis: int):
    image = volume(12, 13, 14)

    torch.testing.assert_close(moved(image, axis=axis, voxels=0.0, periods=5), image)


def test_motion_weighs_every_line_of_k_space_by_the_phase_of_its_shift():
    image, voxels, periods = volume(6, 16, 5).double(), 1.3, 3.0
    spectrum = np.fft.fftshift(np.fft.fft(image.numpy(), axis=1), axes=1)
    for line in range(16):
        shift = voxels * np.sin(2 * np.pi * periods * line / 16)
        spectrum[:, line] *= np.exp(-2j * np.pi * (line - 8) / 16 * shift)
    expected = np.abs(np.fft.ifft(np.fft.ifftshift(spectrum, axes=1), axis=1))

    np.testing.assert_allclose(moved(image, axis=1, voxels=voxels, periods=periods), expected, atol=1e-6)


def test_the_noise_of_air_has_rayleighs_mean():
    noise = rician(torch.zeros(60, 60, 60), 5.0, Draws(torch.Generator().manual_seed(0)))

    assert float(noise.mean()) == pytest.approx(5 * np.sqrt(np.pi / 2), rel=0.01)


def test_a_field_of_view_that_ends_in_the_head_is_padded_with_nothing():
    recipe = Recipe(shape=SHAPE, cropped=1.0, noise=20, findings={"normal": 1})
    padded = 0
    for seed in range(3):
        drawn = synthesise(head(), recipe, torch.Generator().manual_seed(seed))
        outside = drawn.image == 0
        padded += int(outside.sum())
        assert not bool(drawn.classes[outside].any())

    assert padded > 0


def test_at_most_a_sixth_of_the_grid_is_cut_from_each_end():
    draws = Draws(torch.Generator().manual_seed(0))
    views = [field_of_view(torch.Size((100, 100, 100)), Recipe(cropped=1), draws) for _ in range(50)]

    assert all(0 <= side.start <= 16 and 84 <= side.stop <= 100 for view in views for side in view)
    assert any(side.start > 0 for view in views for side in view)


def test_thick_slices_are_thick_along_one_axis_only():
    still = Recipe(
        shape=SHAPE, thick_slices=1, largest_slice_mm=6, bias=0, noise=0, gamma=0, texture=0, ghosts=0,
        cropped=0, findings={"normal": 1},
    )  # fmt: skip
    ratios = []
    for seed in range(3):
        image = synthesise(head(), still, torch.Generator().manual_seed(seed)).image
        rough = sorted(float(image.diff(n=2, dim=axis).square().mean()) for axis in range(3))
        ratios.append(rough[0] / rough[1])

    assert np.mean(ratios) < 0.5


@pytest.mark.parametrize("sd", [2.0, 3.0, 7.5])
def test_a_wide_blur_at_half_the_resolution_is_the_blur(sd: float):
    mask = torch.zeros(48, 56, 52, dtype=torch.bool)
    mask[18:30, 20:33, 19:31] = True

    exact = gaussian_blur(mask.float(), [sd] * 3)

    assert float((softened(mask, sd) - exact).abs().max()) < 0.02


def test_fields_of_view_of_other_spacings_show_the_same_head():
    recipe = Recipe(
        shape=SHAPE, rotation_deg=0, tilted=0, scale=0, shear=0, shift_mm=0, warp_mm=0, cropped=0,
        findings={"normal": 1},
    )  # fmt: skip
    fine, coarse = (
        synthesise(head(), r, torch.Generator().manual_seed(0)).classes
        for r in (recipe, replace(recipe, shape=(24, 28, 24), voxel_mm=2.0))
    )

    assert int((coarse == 3).sum()) * 8 == pytest.approx(int((fine == 3).sum()), rel=0.05)
