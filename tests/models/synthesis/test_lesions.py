"""Findings: in the tissue where they belong, of the brightness that they have, and pushing what they push."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from models.label_maps import to_classes
from models.synthesis import FINDINGS, Draws, Finding, LesionShape, Recipe, SyntheticImage, synthesise
from models.synthesis.head import GLIOSIS, Head, positioned
from models.synthesis.lesions import mass, pushed
from tests.models.synthesis.heads import SHAPE, head

CSF, CORTEX, WHITE, VENTRICLE, LESION = 1, 2, 3, 6, 11
STILL = Recipe(
    shape=SHAPE, rotation_deg=0, tilted=0, scale=0, shear=0, shift_mm=0, warp_mm=0, stripped=0, partly_stripped=0,
    texture=0, thick_slices=0, ghosts=0, bias=0, noise=0, gamma=0, cropped=0, post_contrast=0,
    t1_like=1, t2_like=0, flair_like=0,
)  # fmt: skip
FLAIR = replace(STILL, t1_like=0, flair_like=1)
LESIONS = ("white_matter_lesions", "mass", "stroke", "resection")


def drawn(finding: Finding, seed: int, recipe: Recipe = STILL, shapes: tuple[LesionShape, ...] = ()) -> SyntheticImage:
    return synthesise(head(), replace(recipe, findings={finding: 1}), torch.Generator().manual_seed(seed), shapes)


HEALTHY = torch.from_numpy(to_classes(head().numpy()))
"""Symmetric, so that the generator's mirror changes nothing."""


def test_the_made_up_head_is_symmetric():
    assert torch.equal(HEALTHY, HEALTHY.flip(0))


@pytest.mark.parametrize("finding", FINDINGS)
def test_the_finding_that_was_asked_for_is_what_an_image_shows(finding: Finding):
    image = drawn(finding, 0)

    assert image.finding == finding
    assert (image.lesion_ml > 0) == (finding in LESIONS)
    assert image.lesion_ml == pytest.approx(float((image.classes == LESION).sum()) / 1000)


@pytest.mark.parametrize(
    ("finding", "tissues"),
    [("white_matter_lesions", {WHITE}), ("stroke", {CORTEX, WHITE}), ("resection", {CORTEX, WHITE})],
)
def test_a_lesion_replaces_only_the_tissue_that_it_can(finding: Finding, tissues: set[int]):
    for seed in range(3):
        classes = drawn(finding, seed).classes

        assert set(HEALTHY[classes == LESION].tolist()) <= tissues
        assert torch.equal(classes[classes != LESION], HEALTHY[classes != LESION])


def test_white_matter_lesions_gather_at_the_ventricles():
    to_ventricle = torch.from_numpy(ndimage.distance_transform_edt(HEALTHY.numpy() != VENTRICLE))
    white = float(to_ventricle[HEALTHY == WHITE].mean())

    at = [float(to_ventricle[drawn("white_matter_lesions", seed).classes == LESION].mean()) for seed in range(4)]

    assert np.mean(at) < 0.8 * white


@pytest.mark.parametrize(("recipe", "sign"), [(STILL, -1), (FLAIR, 1)], ids=["t1", "flair"])
def test_white_matter_lesions_are_dark_on_t1_and_bright_on_flair(recipe: Recipe, sign: int):
    for seed in range(3):
        image = drawn("white_matter_lesions", seed, recipe)
        lesion, white = (float(image.image[image.classes == c].mean()) for c in (LESION, WHITE))

        assert sign * (lesion - white) > 0


def test_a_resection_is_filled_with_fluid_and_reaches_the_surface():
    for seed in range(3):
        image = drawn("resection", seed)
        fluid, cortex = (float(image.image[image.classes == c].mean()) for c in (VENTRICLE, CORTEX))
        darkest = float(image.image[image.classes == LESION].quantile(0.2))
        hole = ndimage.binary_dilation(image.classes.numpy() == LESION)

        assert bool((image.classes.numpy()[hole] == CSF).any())
        assert abs(darkest - fluid) < 0.5 * abs(darkest - cortex)


def test_a_mass_pushes_an_incompressible_brain_aside():
    """The volume between the mass and a shell is what it was before, whatever the shell."""
    radius, share = 10.0, 0.7
    for shell in (10.0, 12.0, 30.0):
        before = float(pushed(torch.tensor([shell, 0.0, 0.0]), radius, share).norm())

        assert shell**3 - before**3 == pytest.approx(share * radius**3, rel=1e-4)


def test_what_is_pushed_moves_straight_away_from_the_mass_less_and_less():
    direction = torch.tensor([2.0, -1.0, 2.0]) / 3
    shift = [float((r * direction - pushed(r * direction, 10.0, 0.7)) @ direction) for r in (11.0, 20.0, 60.0)]

    assert shift[0] > shift[1] > shift[2] > 0
    assert shift[2] < 0.1
    assert float(torch.linalg.cross(pushed(20 * direction, 10.0, 0.7), direction).norm()) < 1e-4


def masses(source: torch.Tensor, seed: int) -> Head:
    """One mass or several in a label map that is not deformed otherwise."""
    draws = Draws(torch.Generator().manual_seed(seed))
    return mass(positioned(source, STILL, draws), draws, ())


def test_of_several_masses_each_lies_in_the_tissue_that_is_there_once_all_have_pushed():
    for seed in (0, 9, 11):  # these draw several
        ill = masses(head(), seed)

        assert set(ill.tissue[ill.part == GLIOSIS].tolist()) <= {WHITE}
        assert set(ill.tissue[ill.part > 0].tolist()) <= {CSF, CORTEX, WHITE, VENTRICLE}


def test_a_mass_grows_into_the_third_ventricle_as_into_any_tissue():
    source = torch.full(SHAPE, 14, dtype=torch.int16)
    source[24, 28, 24] = 2  # the only place for the middle of a mass
    for seed in range(2):
        ill = masses(source, seed)

        assert bool((ill.part > 0)[22:27, 28, 24].all())
        assert int(((ill.part > 0) & (ill.tissue == 7)).sum()) > 0.5 * int((ill.part > 0).sum())


def test_atrophy_widens_ventricles_and_sulci_and_shrinks_the_brain():
    for seed in range(3):
        classes = drawn("atrophy", seed).classes
        volume = {c: (int((classes == c).sum()), int((c == HEALTHY).sum())) for c in (CSF, VENTRICLE, CORTEX, WHITE)}

        assert volume[VENTRICLE][0] > 1.2 * volume[VENTRICLE][1]
        assert volume[CSF][0] + volume[VENTRICLE][0] > volume[CSF][1] + volume[VENTRICLE][1]
        assert volume[CORTEX][0] + volume[WHITE][0] < volume[CORTEX][1] + volume[WHITE][1]


def test_a_lesion_outside_the_field_of_view_is_no_finding():
    scalp = torch.full(SHAPE, 515, dtype=torch.int16)

    image = synthesise(scalp, replace(STILL, findings={"stroke": 1}), torch.Generator().manual_seed(0))

    assert (image.finding, image.lesion_ml) == ("normal", 0.0)
