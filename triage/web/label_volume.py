"""A correction as it arrives, painted or uploaded: checked against its case. Only its labels go on."""

import io
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from triage.anatomy import N_CLASSES
from triage.report.as_nifti import SEGMENTATION
from triage.review.errors import Incomplete

PSEUDONYM = re.compile(r"bt-[a-z2-7]{10}")
OFF_GRID_MM = 0.01
"""How far a corner of the volume may lie from where it should: editors write the affine in single precision."""

_HEADER_BYTES = 64 << 10
_WIDEST_VOXEL_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CheckedCorrection:
    """labels: (X, Y, Z) class ids on the scanner's grid, whose index goes to RAS+ mm by affine.

    changed_voxels, changed_ml: how much of the model's segmentation it changes.
    """

    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    changed_voxels: int
    changed_ml: float


def check_correction(data: bytes, *, name: str, folder: Path, pseudonym: str) -> CheckedCorrection:
    """The label volume in `data` for the case in `folder`. Raises Incomplete when it is not one of this case.

    name: of the file as it was sent; looked at for a pseudonym, and never used or shown.
    """
    segmented = nib.load(folder / SEGMENTATION)
    image = _image(_inflated(data, _HEADER_BYTES + math.prod(segmented.shape) * _WIDEST_VOXEL_BYTES))
    _check_identity(image, name, pseudonym)
    labels = _labels(image, segmented)
    changed = int(np.count_nonzero(labels != np.asarray(segmented.dataobj)))
    if not changed:
        raise Incomplete("The correction is the model's own segmentation.", do="Change it, or accept the case.")
    voxel_ml = abs(float(np.linalg.det(segmented.affine[:3, :3]))) / 1000
    return CheckedCorrection(
        labels=labels, affine=segmented.affine, changed_voxels=changed, changed_ml=changed * voxel_ml
    )


def _inflated(data: bytes, most: int) -> bytes:
    """The bytes decompressed, never more than `most` of them."""
    if not data.startswith(b"\x1f\x8b"):
        return data[:most]
    try:
        return zlib.decompressobj(wbits=31).decompress(data, most)
    except zlib.error:
        raise _not_nifti() from None


def _image(raw: bytes) -> SpatialImage:
    kind = nib.Nifti2Image if raw[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    try:
        image: SpatialImage = kind.from_file_map(kind.make_file_map({"image": io.BytesIO(raw)}))
    except Exception:  # nibabel raises what the fields of a header make it raise
        raise _not_nifti() from None
    return image


def _check_identity(image: SpatialImage, name: str, pseudonym: str) -> None:
    """A pseudonym in the file's name or description must be that of the case."""
    described = image.header["descrip"].item().decode("ascii", "replace")
    found = {*PSEUDONYM.findall(name), *PSEUDONYM.findall(described)}
    if found - {pseudonym}:
        raise Incomplete(
            "The file says that it belongs to another case.", do="Send the one that you drew for this case."
        )


def _labels(image: SpatialImage, segmented: SpatialImage) -> NDArray[np.uint8]:
    """(X, Y, Z) class ids on the grid of the case."""
    if image.shape != segmented.shape or not _same_place(image, segmented):
        raise Incomplete(
            "The file does not lie on the grid of the case.",
            do="Draw on the image of the download, and save with its size, voxels and orientation.",
        )
    try:
        values = np.asanyarray(image.dataobj)
    except Exception:
        raise Incomplete("The file ends before its voxels do.", do="Save it again.") from None
    if values.dtype.kind not in "iuf" or not np.isin(values, np.arange(N_CLASSES)).all():
        raise Incomplete(
            f"The file holds values that name no structure; they go from 0 to {N_CLASSES - 1}.",
            do="Use the numbers of labels.txt in the download.",
        )
    return np.asarray(values, np.uint8)


def _same_place(image: SpatialImage, segmented: SpatialImage) -> bool:
    ends = [(0, n - 1) for n in segmented.shape]
    corners = np.array([[*corner, 1] for corner in np.stack(np.meshgrid(*ends), -1).reshape(-1, 3)])
    apart = corners @ (image.affine - segmented.affine).T
    return bool(np.abs(apart).max() <= OFF_GRID_MM)


def _not_nifti() -> Incomplete:
    return Incomplete("The file is no NIfTI volume.", do="Save it as .nii or .nii.gz.")
