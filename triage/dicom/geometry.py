"""Planes to one regular grid, or a reason why they are none. Pure geometry in DICOM's LPS+ millimetres.

Slices are ordered by their position along the normal; instance numbers, slice thickness and slice spacing of the
header play no part: the first are wrong in many sound series, the others lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triage.dicom.planes import Plane
from triage.errors import Code, Refusal

ORIENTATION = 1e-3
"""Largest difference of a direction cosine, and relative difference of a pixel spacing, within one volume."""
GAP_FRACTION, GAP_MM = 0.01, 0.02
"""A gap may differ from the mean by 1 % or 0.02 mm, whichever is more: positions are rounded when written."""
SHEAR_DEGREES = 0.1
SMALLEST_EXTENT_MM, LARGEST_GAP_MM, FEWEST_SLICES = 80.0, 8.0, 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """order: index of the planes by position along the normal. shape, spacing_mm: (column, row, slice).

    affine_lps: (4, 4) float64, index (column, row, slice, 1) to LPS+ mm.
    """

    order: tuple[int, ...]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine_lps: NDArray[np.float64]


def grid_of(planes: Sequence[Plane], *, columns: int, rows: int) -> Grid:
    """The regular grid of planes of one size; a Refusal says which rule does not hold."""
    orientation = np.array([plane.orientation for plane in planes])
    spacing = np.array([plane.spacing_mm for plane in planes])
    if np.abs(orientation - orientation[0]).max() > ORIENTATION:
        raise _geometry("The slices are not parallel.")
    if np.abs(spacing / spacing[0] - 1).max() > ORIENTATION:
        raise _geometry("The slices differ in pixel spacing.")
    if len(planes) < FEWEST_SLICES:
        raise _coverage(f"{len(planes)} slices are no volume; {FEWEST_SLICES} are the least.")
    row, column = _orthonormal(orientation[0])
    normal = np.cross(row, column)
    positions = np.array([plane.position for plane in planes])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    step = _step(positions[order], along[order], normal)
    row_mm, column_mm = spacing[0]
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * column_mm, column * row_mm, step, positions[order[0]]])
    grid = Grid(
        order=tuple(int(index) for index in order),
        shape=(columns, rows, len(planes)),
        spacing_mm=(float(column_mm), float(row_mm), float(np.linalg.norm(step))),
        affine_lps=affine,
    )
    _check_coverage(grid)
    return grid


def _orthonormal(orientation: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column direction, made exactly orthonormal by Gram-Schmidt."""
    row = orientation[:3] / np.linalg.norm(orientation[:3])
    column = orientation[3:] - (orientation[3:] @ row) * row
    return row, column / np.linalg.norm(column)


def _step(
    positions: NDArray[np.float64], along: NDArray[np.float64], normal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The vector from each slice to the next: (last - first) / (n - 1), after the gaps are found uniform."""
    gaps = np.diff(along)
    median = float(np.median(gaps))
    if median < GAP_MM or gaps.min() < GAP_MM:
        raise Refusal(
            Code.DUPLICATE_POSITION,
            "Two slices lie at one position.",
            do="Send each acquisition as a series of its own.",
        )
    step: NDArray[np.float64] = (positions[-1] - positions[0]) / (len(positions) - 1)
    tolerance = max(GAP_FRACTION * median, GAP_MM)
    if np.abs(gaps - gaps.mean()).max() > tolerance:
        raise _uneven(gaps, median, tolerance)
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(step, normal)), step @ normal))
    if not angle <= SHEAR_DEGREES:
        raise Refusal(
            Code.SHEAR,
            f"The stack of slices is sheared by {angle:.2f} degrees.",
            do="Use the series before gantry or table correction was lost.",
        )
    line = positions[0] + np.arange(len(positions))[:, None] * step
    if np.linalg.norm(positions - line, axis=1).max() > tolerance + np.tan(np.radians(SHEAR_DEGREES)) * median:
        raise _geometry("The slices do not lie on one line.")
    return step


def _uneven(gaps: NDArray[np.float64], median: float, tolerance: float) -> Refusal:
    """Gaps that are whole multiples of the median mean missing slices; anything else is an uneven stack."""
    worst = int(np.argmax(np.abs(gaps - median)))
    multiples = np.rint(gaps / median)
    message = f"The gap after slice {worst + 1} is {gaps[worst]:.2f} mm, the median gap is {median:.2f} mm."
    if multiples.min() >= 1 and np.abs(gaps - multiples * median).max() <= tolerance * multiples.max():
        missing = int(multiples.sum()) - len(gaps)
        if missing > 0:
            missed = "1 slice is" if missing == 1 else f"{missing} slices are"
            return Refusal(
                Code.MISSING_SLICE,
                f"{message} {missed} missing.",
                do="Send the series again from the archive.",
            )
    return Refusal(Code.NONUNIFORM, message, do="Send a series with equal slice gaps.")


def _check_coverage(grid: Grid) -> None:
    """Refuse what can never hold a brain. A brain that is cut off, or too much neck, is the quality signal's matter."""
    extent = [n * mm for n, mm in zip(grid.shape, grid.spacing_mm, strict=True)]
    if min(extent) < SMALLEST_EXTENT_MM:
        raise _coverage(
            f"The volume measures {min(extent):.0f} mm on one axis; a brain needs {SMALLEST_EXTENT_MM:.0f}."
        )
    if grid.spacing_mm[2] > LARGEST_GAP_MM:
        raise _coverage(f"The slices are {grid.spacing_mm[2]:.1f} mm apart; {LARGEST_GAP_MM:.0f} mm is the most.")


def _coverage(message: str) -> Refusal:
    return Refusal(Code.COVERAGE, message, do="Send a series that covers the whole brain.")


def _geometry(message: str) -> Refusal:
    return Refusal(Code.GEOMETRY, message, do="Send the series as the scanner made it.")
