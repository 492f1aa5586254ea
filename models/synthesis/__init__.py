"""Images from label maps: deform, make ill, draw one Gaussian a structure, scan.

No real intensity enters, so no licence and no site enters the weights. Source: Billot et al. 2023, Med. Image Anal. 86
(SynthSeg), whose ranges are widened here, with real lesions' shapes. Everything runs on the label map's own device; one
seed and one device, one image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.synthesis.blur import gaussian_blur
from models.synthesis.contrast import AIR, GROUP_OF, Contrast, draw_contrast, painted, visible
from models.synthesis.draws import Draws
from models.synthesis.head import LESION, healed, positioned
from models.synthesis.lesions import FINDING
from models.synthesis.recipe import FINDINGS, Finding, Recipe
from models.synthesis.scanner import field_of_view, normalised, scanned
from models.synthesis.shapes import LesionShape, read_lesion_shapes

__all__ = [
    "FINDINGS",
    "GROUP_OF",
    "Contrast",
    "Draws",
    "Finding",
    "LesionShape",
    "Recipe",
    "SyntheticImage",
    "gaussian_blur",
    "normalised",
    "read_lesion_shapes",
    "synthesise",
]

SMALLEST_LESION_MM3 = 25.0
"""About a sphere of 3.6 mm, what a reader would call a lesion."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticImage:
    """image: (X, Y, Z) float32, not yet normalised, >= 0, zero outside the field of view. classes: (X, Y, Z) uint8.

    finding: what the head shows; "normal" where a lesion was drawn but lies outside the field of view.
    lesion_ml: volume of class 11.
    """

    image: Tensor
    classes: Tensor
    finding: Finding
    contrast: Contrast
    lesion_ml: float


def synthesise(
    labels: Tensor, recipe: Recipe, generator: torch.Generator, shapes: Sequence[LesionShape] = ()
) -> SyntheticImage:
    """One image, on the device of the labels.

    labels: (X, Y, Z) int16 FreeSurfer ids, RAS+, 1 mm. generator: on the CPU, whatever the device.
    shapes: of real lesions; without them strokes and white-matter lesions are drawn from noise.
    """
    draws = Draws(generator, labels.device)
    if draws.chance(0.5):
        labels = labels.flip(0)  # the tables are symmetric: left and right ids share class and group
    finding = draws.pick(recipe.findings)
    if finding != "white_matter_lesions":
        labels = healed(labels)
    head = FINDING[finding](positioned(labels, recipe, draws), draws, shapes)
    contrast = draw_contrast(recipe, draws)
    groups, zeroed = visible(head, recipe, draws)
    scan = scanned(painted(head, groups, recipe, contrast, draws), recipe, draws)
    if zeroed:
        scan = scan.masked_fill(groups == AIR, 0)
    view = field_of_view(scan.shape, recipe, draws)
    image, classes = torch.zeros_like(scan), torch.zeros_like(head.part)
    image[view], classes[view] = scan[view], head.classes[view]
    lesion_mm3 = float((classes == LESION).sum()) * recipe.voxel_mm**3
    if finding not in ("normal", "atrophy") and lesion_mm3 < SMALLEST_LESION_MM3:
        finding = "normal"
    return SyntheticImage(image=image, classes=classes, finding=finding, contrast=contrast, lesion_ml=lesion_mm3 / 1000)
