"""Images from label maps: repeatable, true to their classes, and with the contrast that was asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from models.label_maps import to_classes
from models.synthesis import Draws, Recipe, SyntheticImage, gaussian_blur, synthesise
from models.synthesis.contrast import visible
from models.synthesis.head import positioned

SMALL = Recipe(shape=(32, 40, 32), rotation_deg=10, scale=0.1, shift_mm=2, warp_mm=2)
NORMAL = replace(SMALL, findings={"normal": 1})
STILL = replace(NORMAL, rotation_deg=0, tilted=0, scale=0, shear=0, shift_mm=0, warp_mm=0, cropped=0)
CLEAN = replace(
    STILL, stripped=0, partly_stripped=0, texture=0, thick_slices=0, ghosts=0, bias=0, noise=0, gamma=0, post_contrast=0
)
CLEAN_T1 = replace(CLEAN, t1_like=1, t2_like=0, flair_like=0)
SKULL, CSF, GREY, WHITE, LESION = 515, 24, 3, 2, 25


def head(*, lesion: bool = False) -> torch.Tensor:
    """Shells of skull, CSF, grey and white, of the recipe's shape, the two halves under their own ids."""
    x, y, z = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SMALL.shape], indexing="ij")
    radius = np.sqrt((x / 15) ** 2 + (y / 19) ** 2 + (z / 15) ** 2)
    labels = np.select([radius < 0.55, radius < 0.75, radius < 0.88, radius < 1], [WHITE, GREY, CSF, SKULL], 0)
    labels[(x > 0) & (labels == WHITE)] = 41
    labels[(x > 0) & (labels == GREY)] = 42
    if lesion:
        labels[14:18, 18:22, 14:18] = LESION
    return torch.from_numpy(labels.astype(np.int16))


def drawn(seed: int, recipe: Recipe = SMALL, *, lesion: bool = False) -> SyntheticImage:
    return synthesise(head(lesion=lesion), recipe, torch.Generator().manual_seed(seed))


def test_the_same_seed_draws_the_same_image_to_the_last_bit():
    first, second = drawn(3), drawn(3)

    assert torch.equal(first.image, second.image)
    assert torch.equal(first.classes, second.classes)


def test_another_seed_draws_another_image():
    assert not torch.equal(drawn(3).image, drawn(4).image)


def test_an_image_draws_nothing_from_torchs_own_random_numbers():
    before = torch.random.get_rng_state()

    drawn(3)

    assert torch.equal(torch.random.get_rng_state(), before)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_an_image_is_finite_not_negative_of_the_recipes_shape_and_its_classes_are_in_range(seed):
    result = drawn(seed)

    assert result.image.shape == result.classes.shape == SMALL.shape
    assert bool(torch.isfinite(result.image).all())
    assert float(result.image.min()) >= 0
    assert result.classes.dtype == torch.uint8
    assert int(result.classes.max()) <= 11


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_normal_head_has_no_lesion_not_even_that_of_its_label_map(seed):
    assert not bool((drawn(seed, NORMAL, lesion=True).classes == 11).any())


def test_a_head_with_white_matter_lesions_keeps_those_of_its_label_map():
    ill = replace(STILL, findings={"white_matter_lesions": 1})

    classes = drawn(0, ill, lesion=True).classes

    assert bool((classes[14:18, 18:22, 14:18] == 11).all())


@pytest.mark.parametrize("seed", range(6))
def test_without_deformation_the_classes_are_those_of_the_label_map_or_of_its_mirror_image(seed):
    """The generator flips every second head, left to right."""
    labels = head().numpy()
    labels[4:7, 20, 16] = 17  # on the left alone
    classes = synthesise(torch.from_numpy(labels), STILL, torch.Generator().manual_seed(seed)).classes.numpy()

    straight = to_classes(labels)
    assert np.array_equal(classes, straight) or np.array_equal(classes, straight[::-1])


def test_both_the_head_and_its_mirror_image_are_drawn():
    labels = head()
    labels[:4] = SKULL
    labels[0, 0, 0] = GREY

    ends = {
        tuple(synthesise(labels, STILL, torch.Generator().manual_seed(seed)).classes[[0, -1], 0, 0].tolist())
        for seed in range(12)
    }

    assert ends == {(2, 0), (0, 2)}


@pytest.mark.parametrize("seed", range(8))
def test_a_t1_like_image_is_darkest_in_csf_and_brightest_in_white_matter(seed):
    result = drawn(seed, CLEAN_T1)

    csf, grey, white = (float(result.image[result.classes == c].mean()) for c in (1, 2, 3))

    assert csf < grey < white


def test_a_stripped_image_has_no_more_signal_in_the_skull_than_in_air():
    seed, recipe = 0, replace(CLEAN_T1, stripped=1)
    labels = head()
    skull = torch.from_numpy(ndimage.binary_erosion(labels.numpy() == SKULL))
    air = (labels == 0) & ~torch.from_numpy(ndimage.binary_dilation(labels.numpy() != 0, iterations=2))

    image = synthesise(labels, recipe, torch.Generator().manual_seed(seed)).image

    assert float(image[skull].mean()) < float(image[air].mean()) + 5


def test_a_stripped_image_is_exactly_zero_around_the_brain_after_all_that_the_scanner_does():
    recipe = replace(STILL, stripped=1, zeroed=1, noise=20, thick_slices=1, ghosts=1)
    for seed in range(3):
        image = drawn(seed, recipe).image

        around = torch.from_numpy(np.isin(head().numpy(), [0, SKULL]))  # symmetric, so the mirror changes nothing
        assert not bool(image[around].any())
        assert float((image[~around] > 0).float().mean()) > 0.99


@pytest.mark.parametrize(("stripped", "share"), [(1.0, 0.8), (0.5, 0.4), (0.0, 0.0)])
def test_of_stripped_heads_and_of_no_others_four_in_five_are_to_be_exactly_zero_outside(stripped: float, share: float):
    draws = Draws(torch.Generator().manual_seed(0))
    recipe = replace(STILL, stripped=stripped)
    still, n = positioned(head(), recipe, draws), 200

    zeroed = [visible(still, recipe, draws)[1] for _ in range(n)]

    assert np.mean(zeroed) == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / n))


def test_noise_lifts_the_air_because_a_magnitude_is_never_negative():
    air = (head() == 0) & ~torch.from_numpy(ndimage.binary_dilation(head().numpy() != 0, iterations=2))

    quiet, loud = (drawn(1, replace(CLEAN_T1, noise=noise)).image for noise in (0, 40))

    assert float(loud[air].mean()) > float(quiet[air].mean()) + 5


@pytest.mark.parametrize("sd", [(1.0, 1.0, 1.0), (0.3, 0.9, 2.5), (0.5, 0.01, 4.0)])
def test_the_blur_is_scipys_gaussian_filter_with_edges_repeated(sd):
    image = torch.rand(20, 22, 24, generator=torch.Generator().manual_seed(0))

    radius = tuple(int(np.ceil(3 * s)) for s in sd)
    expected = ndimage.gaussian_filter(image.numpy(), sd, mode="nearest", radius=radius)

    np.testing.assert_allclose(gaussian_blur(image, sd), expected, atol=1e-5)
