"""What the generator may draw."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Finding = Literal["normal", "white_matter_lesions", "mass", "stroke", "resection", "atrophy"]

FINDINGS: Mapping[Finding, float] = {
    "normal": 0.46, "white_matter_lesions": 0.16, "mass": 0.13, "stroke": 0.09, "resection": 0.06, "atrophy": 0.10,
}  # fmt: skip
"""Share of heads with each finding; about half are healthy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Ranges of the generator.

    shape, voxel_mm: grid of the image. findings: relative weight of each finding; one alone draws nothing else.
    t1_like, t2_like, flair_like: shares of contrasts with ordered tissues; the rest have a free one.
    post_contrast: share of the T1-like ones in which vessels and rims enhance.
    stripped, partly_stripped: shares without anything, or without some of what is, around the brain.
    zeroed: share of the stripped ones that are exactly zero there, as tools leave a scan; the rest have noise.
    tilted: share of heads turned by up to 60 degrees more about one axis. warp_mm: SD of the smooth deformation.
    cropped: share of fields of view that end in the head. ghosts: share of heads that moved.
    noise: largest SD on the scale of the tissues, [0, 255]. gamma: largest |log exponent|.
    """

    shape: tuple[int, int, int] = (160, 192, 160)
    voxel_mm: float = 1.0
    findings: Mapping[Finding, float] = field(default_factory=lambda: dict(FINDINGS))
    rotation_deg: float = 18.0
    tilted: float = 0.05
    scale: float = 0.18
    shear: float = 0.03
    shift_mm: float = 20.0
    warp_mm: float = 4.5
    t1_like: float = 0.5
    t2_like: float = 0.08
    flair_like: float = 0.17
    post_contrast: float = 0.25
    stripped: float = 0.3
    partly_stripped: float = 0.15
    zeroed: float = 0.8
    texture: float = 8.0
    thick_slices: float = 0.3
    largest_slice_mm: float = 6.0
    ghosts: float = 0.12
    bias: float = 0.45
    noise: float = 14.0
    gamma: float = 0.35
    cropped: float = 0.25

    def healthy_t1(self) -> "Recipe":
        """The same without any finding and with T1 contrast alone, no contrast agent."""
        return replace(self, findings={"normal": 1.0}, t1_like=1.0, t2_like=0.0, flair_like=0.0, post_contrast=0.0)
