"""How bright each structure is: one Gaussian a structure, in an order that scanners show, or in none."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from models.synthesis.blur import gaussian_blur
from models.synthesis.draws import Draws
from models.synthesis.head import FLUID, GLIOSIS, N_PARTS, RIM, SOLID, Head, look_up
from models.synthesis.recipe import Recipe

Contrast = Literal["t1", "t1_post", "t2", "flair", "free"]

GROUP_OF: Mapping[int, int] = {
    0: 0, 24: 1, 3: 2, 42: 2, 2: 3, 41: 3, 251: 3, 252: 3, 253: 3, 254: 3, 255: 3, 30: 4, 62: 4, 10: 5, 49: 5,
    11: 6, 50: 6, 26: 6, 58: 6, 12: 7, 51: 7, 13: 8, 52: 8, 17: 9, 53: 9, 18: 10, 54: 10,
    4: 11, 5: 11, 43: 11, 44: 11, 14: 11, 15: 11, 72: 11, 8: 12, 47: 12, 7: 13, 46: 13, 16: 14, 28: 15, 60: 15, 85: 16,
    25: 17, 57: 17, 77: 17, 31: 18, 63: 18, 136: 18, 137: 18, 163: 18, 164: 18,
    502: 19, 506: 20, 507: 21, 508: 22, 509: 23, 511: 24, 512: 25, 514: 26, 515: 27, 516: 28, 530: 29,
}  # fmt: skip
"""FreeSurfer id -> group of structures that share one Gaussian; left and right look alike."""
OTHER_GROUP = 29
FIRST_OUTSIDE = 19
"""From this group on: what is around the brain."""
N_GROUPS = 30
"""Groups of the label map; the parts of a lesion follow."""

AIR, CSF, GREY, WHITE, VESSEL, VENTRICLE = 0, 1, 2, 3, 4, 11
CEREBELLAR_GREY, CEREBELLAR_WHITE, OLD_LESION, CHOROID_PLEXUS = 12, 13, 17, 18
FROM_GREY_TO_WHITE: Mapping[int, tuple[float, float]] = {
    5: (0.4, 0.95), 6: (-0.1, 0.35), 7: (0.1, 0.6), 8: (0.6, 1.05), 9: (-0.15, 0.25), 10: (-0.15, 0.25),
    14: (0.55, 1.02), 15: (0.5, 1.0), 16: (0.5, 1.0),
}  # fmt: skip
"""Thalamus, caudate, putamen, pallidum, hippocampus, amygdala, brainstem, ventral DC, chiasm: 0 as grey, 1 as white."""


def painted(head: Head, groups: Tensor, recipe: Recipe, contrast: Contrast, draws: Draws) -> Tensor:
    """(X, Y, Z) >= 0, tissues on a scale of about [0, 255], before any scanner. Lesions have soft edges.

    groups: (X, Y, Z) int64, of every voxel, see `visible`.
    """
    mean, sd = (values.to(head.labels.device) for values in _gaussians(contrast, draws))
    noise = draws.normal(*groups.shape)
    image = mean[groups] + sd[groups] * noise
    if bool(head.part.any()):
        ill = head.part > 0
        part = head.part.long() + N_GROUPS - 1
        blur = [draws.uniform(0.3, 1.2) / head.voxel_mm] * 3
        share = gaussian_blur(ill.float(), blur)
        image = image * (1 - share) + gaussian_blur(ill * (mean[part] + sd[part] * noise), blur)
    patches = draws.smooth(groups.shape, [round(draws.uniform(20, 40))] * 3)
    return (image + draws.uniform(0, recipe.texture) * patches * (groups > 0)).clamp_min(0)


def draw_contrast(recipe: Recipe, draws: Draws) -> Contrast:
    """Which one, in the shares of the recipe."""
    free = max(0.0, 1 - recipe.t1_like - recipe.t2_like - recipe.flair_like)
    shares: Mapping[Contrast, float] = {
        "t1": recipe.t1_like * (1 - recipe.post_contrast),
        "t1_post": recipe.t1_like * recipe.post_contrast,
        "t2": recipe.t2_like,
        "flair": recipe.flair_like,
        "free": free,
    }
    return draws.pick(shares)


def visible(head: Head, recipe: Recipe, draws: Draws) -> tuple[Tensor, bool]:
    """Group of every voxel, (X, Y, Z) int64: all, some or nothing of what is around the brain is taken away.

    Also whether what is AIR then has to be exactly zero in the scan, as a skull-stripping tool leaves it.
    """
    groups = look_up(head.labels, GROUP_OF, OTHER_GROUP)
    at = draws.uniform(0, 1)
    if at < recipe.stripped:
        return torch.where(groups >= FIRST_OUTSIDE, AIR, groups), at < recipe.zeroed * recipe.stripped
    if at < recipe.stripped + recipe.partly_stripped:
        gone = torch.zeros(N_GROUPS, dtype=torch.bool)
        gone[FIRST_OUTSIDE:] = draws.uniforms(N_GROUPS - FIRST_OUTSIDE, 0, 1) < 0.5
        groups = torch.where(gone.to(groups.device)[groups], AIR, groups)
    return groups, False


def _gaussians(contrast: Contrast, draws: Draws) -> tuple[Tensor, Tensor]:
    """Mean and SD of every group and of the parts of a lesion, (N_GROUPS + N_PARTS,)."""
    n = N_GROUPS + N_PARTS
    mean, sd = draws.uniforms(n, 0, 255), draws.uniforms(n, 1, 23)
    mean[AIR], sd[AIR] = draws.uniform(0, 12), draws.uniform(0, 6)
    if contrast == "free":
        return _free(mean, draws), sd
    csf, grey, white = _levels(contrast, draws)
    mean[CSF], mean[VENTRICLE] = csf, csf * draws.uniform(0.7, 1.1)
    mean[GREY], mean[WHITE], mean[VESSEL] = grey, white, draws.uniform(min(csf, white), max(csf, white))
    for group, (low, high) in FROM_GREY_TO_WHITE.items():
        mean[group] = grey + (white - grey) * draws.uniform(low, high)
    mean[CHOROID_PLEXUS] = csf + (grey - csf) * draws.uniform(0.2, 1.0)
    mean[CEREBELLAR_GREY] = grey * draws.uniform(0.88, 1.08)
    mean[CEREBELLAR_WHITE] = white * draws.uniform(0.92, 1.06)
    sd[1:FIRST_OUTSIDE] = draws.uniforms(FIRST_OUTSIDE - 1, 2, 15)
    for part, level in _lesion(contrast, csf, grey, white, draws).items():
        mean[N_GROUPS - 1 + part] = level
    if contrast == "t1_post":
        mean[VESSEL], mean[CHOROID_PLEXUS] = white * draws.uniform(1.0, 1.6), white * draws.uniform(0.9, 1.6)
    mean[OLD_LESION] = mean[N_GROUPS - 1 + GLIOSIS]
    return mean, sd


def _levels(contrast: Contrast, draws: Draws) -> tuple[float, float, float]:
    """CSF, grey and white."""
    if contrast == "flair":
        white = draws.uniform(80, 125)
        return draws.uniform(5, 40), white * draws.uniform(1.04, 1.35), white
    if contrast == "t2":
        grey = draws.uniform(105, 150)
        return draws.uniform(175, 255), grey, grey * draws.uniform(0.55, 0.88)
    grey = draws.uniform(90, 140)
    return draws.uniform(15, 70), grey, grey + draws.uniform(25, 90)


def _lesion(contrast: Contrast, csf: float, grey: float, white: float, draws: Draws) -> dict[int, float]:
    """Level of each part: water is dark on T1 and bright on T2 and FLAIR, where free fluid is suppressed."""
    fluid = csf * draws.uniform(0.85, 1.25)
    if contrast == "flair":
        bright = grey * draws.uniform(1.15, 1.9)
        return {
            GLIOSIS: bright,
            FLUID: csf * draws.uniform(1, 2.2),
            SOLID: grey * draws.uniform(0.95, 1.6),
            RIM: bright,
        }
    if contrast == "t2":
        between = [grey + (csf - grey) * draws.uniform(low, 0.8) for low in (0.2, 0.0, 0.0)]
        return {GLIOSIS: between[0], FLUID: fluid, SOLID: between[1], RIM: between[2]}
    dark = [csf + (grey - csf) * draws.uniform(low, 1.1) for low in (0.35, 0.3, 0.4)]
    rim = white * draws.uniform(1.05, 1.6) if contrast == "t1_post" else dark[2]
    return {GLIOSIS: dark[0], FLUID: fluid, SOLID: dark[1], RIM: rim}


def _free(mean: Tensor, draws: Draws) -> Tensor:
    """Any level for any tissue, mostly with like structures alike, and lesions apart from white matter."""
    grey, white = float(mean[GREY]), float(mean[WHITE])
    if draws.chance(0.7):
        mean[VENTRICLE] = mean[CSF] + draws.uniform(-10, 10)
        mean[CEREBELLAR_GREY], mean[CEREBELLAR_WHITE] = grey + draws.uniform(-20, 20), white + draws.uniform(-20, 20)
        for group in FROM_GREY_TO_WHITE:
            mean[group] = grey + (white - grey) * draws.uniform(0, 1) + draws.uniform(-20, 20)
    apart = draws.uniform(20, 120)
    up = white + apart < 255 and (white - apart < 0 or draws.chance(0.5))
    mean[N_GROUPS - 1 + GLIOSIS] = white + apart if up else white - apart
    return mean.clamp_min(0)
