"""Scored cases as builders of tests: every signal rises with the level of damage."""

import tempfile
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np

from pipelines.calibrate import items
from pipelines.compare import GRADED
from pipelines.failure import Measured
from pipelines.scans import Scan
from pipelines.scored import Item, Scored
from triage.gate.signals import FAR_MM, SIGNALS

_FOLDER = tempfile.TemporaryDirectory()


@cache
def an_image(voxel_mm: float = 2.0) -> Path:
    """A file with voxels of this size."""
    path = Path(_FOLDER.name) / f"{voxel_mm}.nii"
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([1, 1, voxel_mm, 1])), path)
    return path


def a_scan(number: int, split: str) -> Scan:
    return Scan(
        name=f"{split}{number}",
        split=split,
        finding="normal",
        t1=an_image(),
        labels=an_image(),
        manual=False,
        subject=f"IXI{number}-HH-{split}",
        age_years=20.0 + number % 60,
        voxel="2mm",
    )


def scored(item: Item, rng: np.random.Generator) -> Scored:
    """Every signal rises with the level of damage; what is damaged badly fails."""
    level = item.damage.level
    signals = {name: 0.05 * rng.standard_normal() + 0.4 * level for name in SIGNALS}
    dice = 0.9 - 0.02 * rng.random() - (0.2 if level > 3 else 0.0)
    return Scored(
        item=item,
        refused="",
        signals=signals,
        like="normal",
        entropy_by_distance=(0.5,) * (FAR_MM + 1),
        baselines={"softmax_array": 0.1, "entropy_brain": 0.2},
        measured=Measured(
            dice=dict.fromkeys(GRADED, dice), volume_ratio=dict.fromkeys(GRADED, 1 + 0.01 * rng.standard_normal())
        ),
    )


def scored_cases(n: int = 60) -> dict[str, list[Scored]]:
    sizes = {"tune": 11, "calibrate": n, "test": 28}
    scans = [a_scan(k, split) for split, size in sizes.items() for k in range(size)]
    rng = np.random.default_rng(0)
    return {name: [scored(item, rng) for item in own] for name, own in items(scans).items() if name != "pathology"}
