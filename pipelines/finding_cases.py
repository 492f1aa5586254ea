"""Synthetic cases of each finding: what the classifier of `models.classify` is fitted on. No real scan is read.

What a case shows is told from its label map alone, by limits that a reader can check, and not from what was meant to be
drawn: see `finding_of`. The label maps have no ages, so "normal" means normal at some age between 20 and 90 years.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.label_maps import LabelMap
from models.synthesis import FINDINGS, Finding, LesionShape, Recipe, synthesise
from pipelines.degrade import DEGRADATIONS
from pipelines.descriptors import VENTRICLES
from triage.case import Volume

Shares = Mapping[Finding, float]

DRAWN: Mapping[str, Shares] = {
    "normal": {"normal": 0.7, "white_matter_lesions": 0.3},
    "white_matter_lesions": {"white_matter_lesions": 1.0},
    "focal": {"mass": 0.4, "stroke": 0.4, "resection": 0.2},
    "atrophy": {"atrophy": 1.0},
    "not_assessable": FINDINGS,
}
"""Key of `triage.findings` -> what is drawn for it, until `finding_of` agrees."""
FOCI: tuple[Finding, ...] = ("mass", "stroke", "resection")
HEAVY: Mapping[str, Sequence[int]] = {
    "noise": (5,),
    "motion": (4, 5),
    "cropping": (4, 5),
    "missing_slices": (4, 5),
    "ghosting": (5,),
    "thick_slices": (5,),
    "voids": (5,),
}
"""Damage after which a scan is not assessable, and its levels. An unusual contrast is none: the network reads it."""
MILD_LEVELS = (1, 2)
MILD_SHARE = 0.25
AT_2_MM = 0.6

FEW_LESIONS_ML, MANY_LESIONS_ML = 3.0, 5.0
NORMAL_VENTRICLES, WIDE_VENTRICLES = 0.033, 0.04
"""Share of the intracranial volume. Between the limits a case is neither, and not drawn."""
SMALLEST_FOCUS_ML = 1.0
ATTEMPTS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FindingCase:
    """subject: the label map, the cluster of its cases. finding: a key of `triage.findings`."""

    subject: str
    finding: str
    volume: Volume


def draw_case(
    finding: str, maps: Sequence[LabelMap], shapes: Sequence[LesionShape], rng: np.random.Generator
) -> FindingCase:
    """One case of that finding, of any of the label maps."""
    for _ in range(ATTEMPTS):
        label_map = maps[int(rng.integers(len(maps)))]
        voxel_mm = 2.0 if rng.random() < AT_2_MM else 1.0
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        labels = torch.from_numpy(label_map.labels)
        drawn = synthesise(labels, recipe(DRAWN[finding], voxel_mm), generator, shapes)
        shown = finding_of(drawn.finding, drawn.lesion_ml, ventricle_share(drawn.classes))
        if finding in ("not_assessable", shown):
            volume = damaged(_volume(drawn.image, voxel_mm), finding, rng)
            return FindingCase(subject=label_map.subject, finding=finding, volume=volume)
    raise RuntimeError(f"in {ATTEMPTS} attempts none of the label maps gave a case of {finding}")


def finding_of(painted: Finding, lesion_ml: float, ventricles: float) -> str | None:
    """What a synthetic head shows; None where that is open to question. A focus counts first, then lesions."""
    if painted in FOCI:
        return "focal" if lesion_ml >= SMALLEST_FOCUS_ML else None
    if lesion_ml >= MANY_LESIONS_ML:
        return "white_matter_lesions"
    if lesion_ml > FEW_LESIONS_ML or NORMAL_VENTRICLES < ventricles < WIDE_VENTRICLES:
        return None
    return "atrophy" if ventricles >= WIDE_VENTRICLES else "normal"


def ventricle_share(classes: Tensor) -> float:
    """Of the intracranial volume. classes: (X, Y, Z)."""
    volumes = torch.bincount(classes.flatten().long(), minlength=VENTRICLES + 1).double()
    return float(volumes[VENTRICLES] / volumes[1:].sum())


def recipe(findings: Shares, voxel_mm: float) -> Recipe:
    """Scans of usual quality, most of them T1-weighted."""
    x, y, z = (round(n / voxel_mm) for n in (160, 192, 160))
    return Recipe(
        shape=(x, y, z),
        voxel_mm=voxel_mm,
        findings=findings,
        t1_like=0.82,
        t2_like=0.06,
        flair_like=0.12,
        post_contrast=0.15,
        thick_slices=0.15,
        largest_slice_mm=4.0,
        rotation_deg=12.0,
        tilted=0.0,
        ghosts=0.0,
        cropped=0.0,
        noise=8.0,
        bias=0.3,
        gamma=0.2,
    )


def damaged(volume: Volume, finding: str, rng: np.random.Generator) -> Volume:
    """Heavily where the case shall not be assessable; else mildly, in some."""
    if finding != "not_assessable" and rng.random() > MILD_SHARE:
        return volume
    name = str(rng.choice(list(HEAVY)))
    level = int(rng.choice(HEAVY[name] if finding == "not_assessable" else MILD_LEVELS))
    return DEGRADATIONS[name](volume, level, rng)


def _volume(image: Tensor, voxel_mm: float) -> Volume:
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = -voxel_mm * np.array(image.shape) / 2
    return Volume(array=image.numpy(), affine=affine)
