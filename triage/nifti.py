"""NIfTI-1, NIfTI-2 and MGZ files: header to Series, file to Volume. RAS+ is their own convention, nothing is turned.

A file without a valid affine has no known left and right, and is refused.
"""

import io
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from triage.case import Format, Series, SourceFile, Volume, Weighting
from triage.dicom.decode import read_unchanged
from triage.dicom.deid import Pseudonyms
from triage.dicom.files import open_regular, sha256_of
from triage.dicom.geometry import FEWEST_SLICES, LARGEST_GAP_MM, SHEAR_DEGREES, SMALLEST_EXTENT_MM
from triage.dicom.limits import ReadLimits
from triage.dicom.volume import check_values
from triage.errors import Code, Refusal

_HEADER_BYTES = 1 << 20
_SPACING_MM = (0.1, 10.0)
_INTENT_LABEL = 1002
_FEW_VALUES = 20


def read_nifti_header(
    path: Path, *, weighting: Weighting, contrast_agent: bool, pseudonyms: Pseudonyms, limits: ReadLimits
) -> Series | None:
    """The series in a file, headers only; None when the header says that it holds labels. A Refusal if unreadable.

    weighting, contrast_agent: what is known of it from elsewhere; the header knows neither.
    """
    with open_regular(path, max_bytes=limits.file_bytes) as file:
        digest = sha256_of(file)
        file.seek(0)
        head = _head(file.read(_HEADER_BYTES))
    try:
        image = _image(head, path)
        if "intent_code" in image.header and int(image.header["intent_code"]) == _INTENT_LABEL:
            return None
        shape = _shape(image, limits)
        affine = _affine(image)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        _check_geometry(affine, shape, spacing)
    except Refusal:
        raise
    except Exception as error:  # nibabel raises what the fields of a header make it raise
        raise _invalid("The header of the file cannot be read.") from error
    return Series(
        uid=digest,
        pseudonym=pseudonyms.of("nifti", digest),
        format=Format.NIFTI,
        files=(SourceFile(path=path, sha256=digest),),
        shape=shape,
        spacing_mm=(float(spacing[0]), float(spacing[1]), float(spacing[2])),
        weighting=weighting,
        contrast_agent=contrast_agent,
    )


def decode_nifti(files: Sequence[SourceFile], out: Path, *, slices: int, limits: ReadLimits) -> Volume:
    """The volume of a file; its array is a memory map of `out`. Meant for the confined process.

    The compressed stream is read to the size that the header declares and no further.
    """
    (source,) = files
    data = read_unchanged(source, max_bytes=limits.file_bytes)
    image = _image(_head(data[:_HEADER_BYTES]), source.path)
    shape = _shape(image, limits)
    if shape[2] != slices:
        raise _invalid("The file does not have the number of slices that was found.")
    size = int(image.dataobj.offset) + math.prod(shape) * image.get_data_dtype().itemsize
    if size > limits.nifti_bytes:
        raise Refusal(Code.DECODE_LIMIT, f"{size >> 20} MiB of voxels are over the limit.", do="Send one volume.")
    raw = _inflate(data, size)
    if len(raw) < size:
        raise Refusal(Code.TRUNCATED, "The file ends before its voxels do.", do="Copy the file again.")
    image = _image(raw, source.path)
    array = np.lib.format.open_memmap(out, mode="w+", dtype=np.float32, shape=shape, fortran_order=True)
    array[:] = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    check_values(array)
    if np.issubdtype(image.get_data_dtype(), np.integer) and len(np.unique(array)) < _FEW_VALUES:
        raise Refusal(Code.BAD_VALUES, "The file holds a label map, not an image.", do="Send the image itself.")
    return Volume(array=array, affine=_affine(image))


def _head(data: bytes) -> bytes:
    """The first bytes, decompressed when they are gzip; never more than a header needs."""
    return _inflate(data, _HEADER_BYTES)


def _inflate(data: bytes, size: int) -> bytes:
    """At most `size` decompressed bytes of a gzip stream; other bytes as they are."""
    if not data.startswith(b"\x1f\x8b"):
        return data[:size] if len(data) > size else data
    try:
        return zlib.decompressobj(wbits=31).decompress(data, size)
    except zlib.error as error:
        raise _invalid("The compressed file is damaged.") from error


def _image(raw: bytes, path: Path) -> SpatialImage:
    """The image over the bytes; its voxels are not read."""
    kind: type[SpatialImage]
    if path.name.lower().endswith((".mgz", ".mgh")):
        kind = nib.MGHImage
    else:
        kind = nib.Nifti2Image if raw[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nib.Nifti1Image
    image: SpatialImage = kind.from_file_map(kind.make_file_map({"image": io.BytesIO(raw)}))
    return image


def _shape(image: SpatialImage, limits: ReadLimits) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3:
        raise Refusal(Code.NOT_T1_VOLUME, f"The file has {len(shape)} axes, not 3.", do="Send one volume as a file.")
    if min(shape) < 1 or max(shape) > limits.edge_voxels or math.prod(shape) > limits.volume_voxels:
        raise Refusal(Code.HEADER_LIMIT, "The size of the volume is not that of a brain.", do="Check the file.")
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf":
        raise Refusal(Code.NOT_T1_VOLUME, "The voxels are no single real numbers.", do="Send a magnitude image.")
    return shape[0], shape[1], shape[2]


def _affine(image: SpatialImage) -> NDArray[np.float64]:
    """Index to RAS+ mm by the sform, else the qform; refused when neither is set or they mirror each other."""
    affine = np.asarray(image.affine, dtype=np.float64)
    if isinstance(image, nib.MGHImage):
        if not int(image.header["goodRASFlag"]):
            raise _unplaced()
        return affine
    if image.header.get_xyzt_units()[0] not in ("mm", "unknown"):
        raise _invalid("The voxel sizes are not in millimetres.")
    (qform, qcode), (sform, scode) = image.get_qform(coded=True), image.get_sform(coded=True)
    if not qcode and not scode:
        raise _unplaced()
    if qcode and scode and np.linalg.det(qform[:3, :3]) * np.linalg.det(sform[:3, :3]) < 0:
        raise _invalid("The two orientations in the file mirror each other: left and right are not known.")
    return affine


def _check_geometry(affine: NDArray[np.float64], shape: tuple[int, int, int], spacing: NDArray[np.float64]) -> None:
    if not np.isfinite(affine).all() or not all(_SPACING_MM[0] <= mm <= _SPACING_MM[1] for mm in spacing):
        raise _invalid("The voxel sizes are not within 0.1 to 10 mm.")
    axes = affine[:3, :3] / spacing
    cosines = np.abs(axes.T @ axes - np.eye(3)).max()
    if not cosines <= math.sin(math.radians(10 * SHEAR_DEGREES)):  # files made by other software are less exact
        raise Refusal(Code.SHEAR, "The axes of the file are sheared.", do="Resample it to orthogonal axes.")
    extent = float((np.array(shape) * spacing).min())
    if extent < SMALLEST_EXTENT_MM or min(shape) < FEWEST_SLICES or float(spacing.max()) > LARGEST_GAP_MM:
        raise Refusal(
            Code.COVERAGE,
            f"The volume measures {extent:.0f} mm on its shortest axis, with voxels up to {spacing.max():.1f} mm.",
            do="Send a volume that covers the whole brain.",
        )


def _unplaced() -> Refusal:
    return _invalid("The file does not say where left and right are.")


def _invalid(message: str) -> Refusal:
    return Refusal(Code.NIFTI_INVALID, message, do="Convert the original DICOM again.")
