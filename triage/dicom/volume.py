"""A series to a volume in RAS+: the one place where DICOM's LPS+ is turned, and where values are judged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triage.case import SourceFile, Volume
from triage.dicom.decode import decode_series
from triage.dicom.limits import ReadLimits
from triage.errors import Code, Refusal

LARGEST_VALUE = 1e20
SATURATED_SHARE = 0.2
"""Of the voxels above the minimum, this share at the maximum means a clipped image, or a mask."""


def ras_from_lps(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) index to LPS+ mm into index to RAS+ mm, and back: DICOM's x and y grow to the patient's left and back."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def decode_dicom(files: Sequence[SourceFile], out: Path, *, slices: int, limits: ReadLimits) -> Volume:
    """The volume of a DICOM series; its array is a memory map of `out`. Meant for the confined process."""
    array, affine_lps = decode_series(files, out, slices=slices, limits=limits)
    check_values(array)
    return Volume(array=array, affine=ras_from_lps(affine_lps))


def check_values(array: NDArray[np.float32]) -> None:
    """Refuse values that are no image: not finite, constant, or saturated."""
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high) and max(abs(low), abs(high)) < LARGEST_VALUE):
        raise _bad("The image holds values that are no finite numbers.")  # one NaN makes min and max NaN
    if low == high:
        raise _bad("The image has one value everywhere.")
    share = np.count_nonzero(array == high) / np.count_nonzero(array > low)
    if not share < SATURATED_SHARE:
        raise _bad(f"The image is saturated: {share:.0%} of what is not background has the largest value.")


def _bad(message: str) -> Refusal:
    return Refusal(Code.BAD_VALUES, message, do="Look at the series in the archive; send the original.")
