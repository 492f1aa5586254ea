"""How the pixels of a file are stored, after every rule that the attributes and the bytes must keep (PS3.3 C.7.6.3)."""

from dataclasses import dataclass

from pydicom.dataset import Dataset

from triage.dicom.attribute_values import integer, text
from triage.dicom.file_meta import invalid
from triage.dicom.layout import Layout
from triage.dicom.limits import ReadLimits
from triage.errors import Code, Refusal

_AGAIN = "Send the series again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Stored integers. native_at: offset in the file, None when they are compressed. bits_stored <= bits_allocated.

    inverted: MONOCHROME1, the lowest value is white.
    """

    rows: int
    columns: int
    native_at: int | None
    bits_allocated: int
    bits_stored: int
    signed: bool
    inverted: bool


def pixels_of(dataset: Dataset, layout: Layout, limits: ReadLimits) -> Pixels:
    """The format of the pixels; a Refusal when its attributes contradict each other or the bytes."""
    rows, columns, frames = _size(dataset, limits)
    allocated, stored, high, signed = (
        integer(dataset, keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    )
    if allocated not in (8, 16) or not 1 <= stored <= allocated or high != stored - 1 or signed not in (0, 1):
        raise invalid("Bits Allocated, Bits Stored, High Bit and Pixel Representation contradict each other.")
    photometric = text(dataset, "PhotometricInterpretation")
    if integer(dataset, "SamplesPerPixel") != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refusal(Code.NOT_T1_VOLUME, "The pixels are in colour.", do="Send the original magnitude images.")
    _check_bytes(layout, rows * columns * frames * allocated // 8, frames)
    return Pixels(
        rows=rows,
        columns=columns,
        native_at=layout.native_at,
        bits_allocated=allocated,
        bits_stored=stored,
        signed=bool(signed),
        inverted=photometric == "MONOCHROME1",
    )


def _size(dataset: Dataset, limits: ReadLimits) -> tuple[int, int, int]:
    """Rows, columns and frames. Python integers: their product never overflows."""
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    frames = integer(dataset, "NumberOfFrames", default=1)
    if min(rows, columns, frames) < 1:
        raise invalid(f"A grid of {columns} x {rows} x {frames} voxels is no image.")
    if max(rows, columns, frames) > limits.edge_voxels or rows * columns * frames > limits.volume_voxels:
        raise Refusal(
            Code.HEADER_LIMIT,
            f"{columns} x {rows} x {frames} voxels are over the limit of a brain volume.",
            do="Send one volume at the resolution of the scanner.",
        )
    return rows, columns, frames


def _check_bytes(layout: Layout, expected: int, frames: int) -> None:
    """Native pixels have exactly their size, padded to an even length; compressed ones a fragment per frame or more."""
    found = layout.native_bytes
    if found is not None and found != expected + expected % 2:
        code = Code.TRUNCATED if found < expected else Code.HEADER_INVALID
        raise Refusal(code, f"{found} bytes of pixels where {expected} belong.", do=_AGAIN)
    if layout.fragments is not None and layout.fragments < frames:
        raise Refusal(Code.TRUNCATED, f"{layout.fragments} compressed fragments for {frames} frames.", do=_AGAIN)
