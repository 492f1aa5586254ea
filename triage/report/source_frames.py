"""The frames of a source series, and the labels as they lie on each of them: by millimetres, never by index."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from triage.case import Format, Series
from triage.dicom.files import open_regular, sha256_of
from triage.dicom.planes import Plane, planes_of
from triage.errors import Code, Refusal

_OFF_GRID = 0.25
"""Voxels. A frame may lie this far from its place on the grid: uniform series are uniform to 1 % of a gap."""

_MAX_BYTES = 4 << 30


def headers(series: Series) -> list[Dataset]:
    """The headers of the files in their order, without pixels; refuses a file that changed since it was read."""
    return [_header(file.path, file.sha256) for file in series.files]


def planes(series: Series, sources: Sequence[Dataset]) -> list[Plane]:
    """Where each frame of the series lies, in the order of the files and of the frames in them."""
    enhanced = series.format is Format.ENHANCED
    return [plane for source in sources for plane in planes_of(source, enhanced=enhanced)]


def align(series: Series, sources: Sequence[Dataset]) -> None:
    """Says once, in the headers themselves, what all frames share: highdicom asks for it.

    Scanners write orientations that differ in the ninth digit from slice to slice, leave Slice Thickness empty, and put
    into every frame of an enhanced object what its shared groups could hold. Take `planes` before.
    """
    for source in sources:
        if series.format is Format.ENHANCED:
            source.SharedFunctionalGroupsSequence = [_shared(source)]
        else:
            source.ImageOrientationPatient = sources[0].ImageOrientationPatient
            source.PixelSpacing = sources[0].PixelSpacing
            source.SliceThickness = sources[0].get("SliceThickness") or series.spacing_mm[2]


def _shared(source: Dataset) -> Dataset:
    """The shared functional groups, with the measures and the orientation of the first frame where they lack them."""
    groups = next(iter(source.get("SharedFunctionalGroupsSequence") or []), Dataset())
    first = source.PerFrameFunctionalGroupsSequence[0]
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if keyword not in groups and keyword in first:
            groups[keyword] = first[keyword]
    return groups


def labels_on(
    frame: Plane, size: tuple[int, int], labels: NDArray[np.uint8], affine: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """The (rows, columns) labels on one frame.

    size: (rows, columns). labels: (X, Y, Z) on the grid of affine, index to RAS+ mm. The frame's index (column, row)
    goes to patient millimetres (PS3.3 C.7.6.2.1.1) and from there to the index of the labels, which must be whole.
    """
    to_index = np.linalg.inv(affine) @ _to_ras(frame)
    step_column, step_row, start = (np.rint(to_index[:3, n]) for n in range(3))
    rows, columns = size
    corners = np.array([(0, 0, 1), (columns - 1, 0, 1), (0, rows - 1, 1), (columns - 1, rows - 1, 1)], float)
    exact, whole = to_index[:3] @ corners.T, np.stack([step_column, step_row, start], axis=1) @ corners.T
    on_grid = np.abs(exact - whole).max() <= _OFF_GRID
    inside = (whole >= 0).all() and (whole < np.asarray(labels.shape)[:, None]).all()
    if not (on_grid and inside):
        raise Refusal(
            Code.GEOMETRY,
            "A frame of the source does not lie on the grid of its volume.",
            do="Process the case again; if it stays so, leave out the DICOM SEG and report the series.",
        )
    column, row = np.arange(columns)[None, :], np.arange(rows)[:, None]
    i, j, k = ((start[n] + step_column[n] * column + step_row[n] * row).astype(np.intp) for n in range(3))
    on_frame: NDArray[np.uint8] = labels[i, j, k]
    return on_frame


def _to_ras(frame: Plane) -> NDArray[np.float64]:
    """(4, 3): (column, row, 1) of the frame to homogeneous RAS+ mm; LPS+ turns into RAS+ by the signs of x and y."""
    between_rows, between_columns = frame.spacing_mm
    along_columns, along_rows = frame.orientation[:3], frame.orientation[3:]
    lps = np.zeros((4, 3))
    lps[:3, 0] = np.asarray(along_columns) * between_columns
    lps[:3, 1] = np.asarray(along_rows) * between_rows
    lps[:3, 2], lps[3, 2] = frame.position, 1.0
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def _header(path: Path, sha256: str) -> Dataset:
    with open_regular(path, max_bytes=_MAX_BYTES) as file:
        if sha256_of(file) != sha256:
            raise Refusal(
                Code.CHANGED_WHILE_READING,
                "A file of the source changed after it was read.",
                do="Wait until the transfer is complete and process the case again.",
            )
        file.seek(0)
        return dcmread(file, stop_before_pixels=True)
