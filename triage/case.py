"""What arrives: series, volumes, cases, and the inputs that could not become one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triage.errors import Code


class Weighting(StrEnum):
    """Contrast of a structural series, as its headers tell."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    PD = "PD"
    UNKNOWN = "unknown"


class Format(StrEnum):
    """How a series lies on disk."""

    CLASSIC = "dicom_classic"
    ENHANCED = "dicom_enhanced"
    NIFTI = "nifti"


def in_tesla(field_strength_t: float) -> str:
    """A field strength as scanners are called: 2.89 T is 3 T, 1.494 T is 1.5 T; under 1 T as it is."""
    return f"{field_strength_t if field_strength_t < 1 else round(2 * field_strength_t) / 2:g} T"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a series; sha256 of its bytes when its header was read: decoding refuses other bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series as found on disk; headers only.

    uid: SeriesInstanceUID, or the file's digest for NIfTI; stays in memory, only `pseudonym` is ever written.
    files: ordered by position along the slice normal. shape, spacing_mm: (column, row, slice).
    manufacturer: one of a closed list, "other" if not in it. age_years: None when the header does not say.
    """

    uid: str
    pseudonym: str
    format: Format
    files: tuple[SourceFile, ...]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    weighting: Weighting
    contrast_agent: bool = False
    acquisition_3d: bool = True
    manufacturer: str = "other"
    field_strength_t: float | None = None
    age_years: float | None = None

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError(f"series {self.pseudonym} has no files")
        if len(self.shape) != 3 or not all(n >= 1 for n in self.shape):
            raise ValueError(f"shape must be three positive counts, got {self.shape} (series {self.pseudonym})")
        if not all(0 < s < float("inf") for s in self.spacing_mm):
            raise ValueError(f"spacing_mm must be finite and > 0, got {self.spacing_mm} (series {self.pseudonym})")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """The pixels of one series on the scanner's grid.

    array: (X, Y, Z) float32 = (column, row, slice), after rescale, finite.
    affine: (4, 4) float64, index (i, j, k, 1) to RAS+ millimetres.
    """

    array: NDArray[np.float32]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise ValueError(f"a volume has three axes, got shape {self.array.shape}")
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise ValueError("affine must be a finite 4 x 4 matrix")
        if not abs(np.linalg.det(self.affine[:3, :3])) > 0:
            raise ValueError("affine must be invertible")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along i, j, k."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotChosen:
    """A series of the study that was not used, and why, in a reader's words."""

    pseudonym: str
    weighting: Weighting
    shape: tuple[int, ...]
    code: Code | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One study with the structural series chosen for it.

    pseudonym: keyed hash of patient and study, stable over reruns. content_sha256: digest of the chosen series' files.
    subject: keyed hash of the patient alone, the same for all studies: what `triage.ledger` splits by. Empty when
    nobody knows whose the case is; then it is never trained on.
    """

    pseudonym: str
    content_sha256: str
    structural: Series
    others: tuple[NotChosen, ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedInput:
    """An input that cannot become a decided case; it goes to a human with its code."""

    pseudonym: str
    content_sha256: str
    code: Code
    message: str
    do: str
    n_files: int
    others: tuple[NotChosen, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All that was found in an inbox. skipped: what was left alone (reports, CT, text files), counted by reason."""

    cases: tuple[Case, ...]
    refused: tuple[RefusedInput, ...]
    skipped: Mapping[str, int]
