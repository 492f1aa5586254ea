"""The labelled real scans of a cases.csv: what is known of each, their images, and the classes of their parcellations.

cases.csv has the columns case, split, finding, t1, label, label2, label_kind, with paths relative to the file itself;
subject, age (years), source, voxel, vendor (as DICOM's Manufacturer) and field_strength (tesla) may be there;
`calibrate` needs a subject in every row.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

from triage.case import Volume


def _neuromorphometrics() -> NDArray[np.uint8]:
    """Neuromorphometrics id (also those of DLMUSE) -> class, a table of 256."""
    table = np.zeros(256, np.uint8)
    classes: Mapping[int, Iterable[int]] = {
        1: (46, 1),
        2: range(100, 208),
        3: (44, 45, *range(81, 96)),
        4: (23, 30, 36, 37, 55, 56, 57, 58, 59, 60, 75, 76),
        5: (31, 32, 47, 48),
        6: (49, 50, 51, 52),
        7: (4, 11, 15),
        8: (38, 39, 71, 72, 73),
        9: (40, 41),
        10: (35, 61, 62),
    }
    for target, sources in classes.items():
        table[list(sources)] = target
    return table


NEUROMORPHOMETRICS = _neuromorphometrics()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One row of cases.csv. labels: a Neuromorphometrics or DLMUSE parcellation, None when there is none.

    manual: drawn by a person, not by another network. subject: whose scan it is. source: the collection it comes from.
    voxel: such as 1mm. What the table does not say is empty or None. lesions: a mask, in the same millimetres.
    """

    name: str
    split: str
    finding: str
    t1: Path
    labels: Path | None
    manual: bool
    subject: str = ""
    age_years: float | None = None
    source: str = ""
    voxel: str = ""
    vendor: str = ""
    field_strength_t: float | None = None
    lesions: Path | None = None


def read_scans(table: Path, splits: Sequence[str]) -> list[Scan]:
    """The scans with a T1 of these splits, in the order of the table."""
    with table.open(newline="") as stream:
        return [_scan(row, table.parent) for row in csv.DictReader(stream) if row["split"] in splits and row["t1"]]


def read_nifti(path: Path) -> Volume:
    """A trusted NIfTI file as a volume."""
    image = nib.load(path)
    return Volume(array=np.asarray(image.dataobj, np.float32), affine=np.asarray(image.affine, np.float64))


def voxel_mm(path: Path) -> float:
    """The longest edge of an image's voxels."""
    return float(voxel_sizes(nib.load(path).affine).max())


def read_classes(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A parcellation as classes on its own grid, and its affine."""
    image = nib.load(path)
    return NEUROMORPHOMETRICS[np.asarray(image.dataobj).astype(np.int64)], np.asarray(image.affine, np.float64)


def _scan(row: Mapping[str, str], folder: Path) -> Scan:
    parcellation = next((row[k] for k in ("label2", "label") if row[k] and "BraTS" not in row["label_kind"]), None)
    usable = parcellation is not None and "change mask" not in row["label_kind"]
    return Scan(
        name=row["case"],
        split=row["split"],
        finding=row["finding"],
        t1=folder / row["t1"],
        labels=folder / parcellation if usable and parcellation else None,
        manual=row["label_kind"].startswith("manual"),
        subject=row.get("subject", ""),
        age_years=_number(row, "age"),
        source=row.get("source", ""),
        voxel=row.get("voxel", ""),
        vendor=row.get("vendor", ""),
        field_strength_t=_number(row, "field_strength"),
        lesions=folder / row["label"] if usable and row["label"] and row["label2"] else None,
    )


def _number(row: Mapping[str, str], column: str) -> float | None:
    return float(row[column]) if row.get(column) else None
