"""Real scans with a known finding, as they are and harmonised: what could tell the groups apart besides the finding."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from models.predictive import augment, cell_probability
from models.runtime import Runner
from pipelines.artefacts import thickened
from pipelines.degrade import DEGRADATIONS
from pipelines.finding_cases import HEAVY
from pipelines.preprocess import Conformed, conform
from pipelines.scans import read_nifti
from triage.case import Volume
from triage.errors import Refusal

AS_IT_IS, AT_2_MM, STRIPPED, THICK = "as it is", "2 mm", "stripped", "3.5 mm slices"
THICK_MM = 3.5
SKULL_GAP_MM = 2
"""A stripped scan keeps this much around what the network calls brain or CSF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealScan:
    """group: source and finding. truth: a key of `triage.findings`, more than one where both hold, none if unknown.

    copies: how else it is looked at, so that groups can be compared on equal terms.
    """

    name: str
    group: str
    truth: tuple[str, ...]
    age_years: float
    path: Path
    copies: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Scans of one source and finding. column: of cases.csv, the image that is looked at."""

    name: str
    truth: tuple[str, ...]
    column: str
    copies: tuple[str, ...]


IXI = Group(name="IXI", truth=("normal",), column="t1", copies=(AS_IT_IS, STRIPPED, THICK))
OASIS = Group(name="OASIS", truth=("normal",), column="t1", copies=(AS_IT_IS, AT_2_MM))
ELDERLY = Group(name="elderly", truth=("white_matter_lesions", "atrophy"), column="t1", copies=(AS_IT_IS, STRIPPED))
MS = Group(name="MS", truth=("white_matter_lesions",), column="t1", copies=(AS_IT_IS,))
GLIOMA_T1C = Group(name="glioma, post-contrast T1", truth=("focal",), column="t1c", copies=(AS_IT_IS, AT_2_MM))
GLIOMA_FLAIR = Group(name="glioma, FLAIR", truth=("focal",), column="flair", copies=(AS_IT_IS, AT_2_MM))
AGED = Group(name="aged, unlabelled", truth=(), column="t1", copies=(AS_IT_IS,))
FLAIR = Group(name="FLAIR, unlabelled", truth=(), column="flair", copies=(AS_IT_IS,))
GROUPS = (IXI, OASIS, ELDERLY, MS, GLIOMA_T1C, GLIOMA_FLAIR, AGED, FLAIR)


def read_scans(table: Path) -> Iterator[RealScan]:
    """Scans that nothing was fitted on: all but those of the tune split, in the order of the table."""
    with table.open(newline="") as stream:
        for row in csv.DictReader(stream):
            for group in GROUPS:
                if row["split"] != "tune" and group in _groups_of(row) and row[group.column]:
                    yield RealScan(
                        name=row["case"],
                        group=group.name,
                        truth=group.truth,
                        age_years=float(row["age"] or math.nan),
                        path=table.parent / row[group.column],
                        copies=group.copies if row["split"] != "calibrate" or group is OASIS else (AS_IT_IS,),
                    )


def _groups_of(row: Mapping[str, str]) -> tuple[Group, ...]:
    """By source and finding; the unlabelled ones by their only image."""
    if row["split"] != "pathology":
        return (OASIS,) if row["source"] == "malf_templates" else (IXI,)
    by_finding = {"wmh/atrophy": (ELDERLY,), "ms": (MS,), "tumour": (GLIOMA_T1C, GLIOMA_FLAIR)}
    return by_finding.get(row["finding"], (AGED,) if row["t1"] else (FLAIR,))


def copy_of(scan: RealScan, how: str, head: Tensor, runner: Runner) -> Volume:
    """The scan as it is, or harmonised. head: (8 C, F + 1), finds the brain that is kept when the skull is stripped."""
    volume = read_nifti(scan.path)
    if how == AT_2_MM:
        return at_2_mm(volume)
    if how == THICK:
        axial = int(np.abs(volume.affine[2, :3] / volume.spacing_mm).argmax())
        return thickened(volume, axis=axial, slice_mm=THICK_MM)
    if how == STRIPPED:
        conformed = conform(volume)
        return stripped(conformed, runner(torch.from_numpy(conformed.image)), head)
    return volume


def at_2_mm(volume: Volume) -> Volume:
    """Every second voxel of a 1 mm scan after a blur that leaves no finer detail."""
    array = ndimage.gaussian_filter(volume.array, 0.42 * math.sqrt(3), mode="nearest")
    return Volume(array=np.ascontiguousarray(array[::2, ::2, ::2]), affine=volume.affine @ np.diag([2, 2, 2, 1.0]))


def stripped(conformed: Conformed, features: Tensor, head: Tensor) -> Volume:
    """The conformed image without anything outside the brain and its CSF, by the network itself."""
    cells = cell_probability(augment(features), head).view(-1, *features.shape[1:])
    inside = ndimage.binary_closing(cells[0].numpy() < 0.5, iterations=2, border_value=0)
    inside = ndimage.binary_fill_holes(inside)
    labels, n = ndimage.label(inside)
    if n:
        inside = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    fine = np.kron(inside, np.ones((2, 2, 2), bool))
    kept = ndimage.binary_dilation(fine, iterations=SKULL_GAP_MM)
    return Volume(array=np.where(kept, conformed.image, 0).astype(np.float32), affine=conformed.affine)


def heavily_damaged(scan: RealScan, rng: np.random.Generator) -> Iterator[tuple[str, Volume]]:
    """The scan after every damage that makes it not assessable; what preprocessing refuses is left out."""
    volume = read_nifti(scan.path)
    for name, levels in HEAVY.items():
        damaged = DEGRADATIONS[name](volume, levels[-1], rng)
        try:
            conform(damaged)
        except Refusal:
            continue
        yield name, damaged
