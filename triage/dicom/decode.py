"""Stored pixels to signal, on the grid of the slices. Runs in the confined process only: codecs are not to be trusted.

Every file is read once: the bytes that are hashed are the bytes that are parsed and decoded.
highdicom's get_volume_from_series gives the same volume (tests compare them) in three times the time and memory.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels import iter_pixels
from pydicom.uid import RLELossless

from triage.case import SourceFile
from triage.dicom.codestream import claimed_size
from triage.dicom.coherence import odd_slice
from triage.dicom.files import open_regular
from triage.dicom.geometry import grid_of
from triage.dicom.header import Header, NotOurs, parse_header, quiet_pydicom
from triage.dicom.limits import ReadLimits
from triage.dicom.pixels import Pixels
from triage.errors import Code, Refusal


def read_unchanged(source: SourceFile, *, max_bytes: int) -> bytes:
    """The bytes of a file, if they are those that were inventoried."""
    with open_regular(source.path, max_bytes=max_bytes) as file:
        data = file.read()
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise Refusal(
            Code.CHANGED_WHILE_READING,
            "A file changed after the inventory was taken.",
            do="Wait until the copy into the folder has ended, then run again.",
        )
    return data


def decode_series(
    files: Sequence[SourceFile], out: Path, *, slices: int, limits: ReadLimits
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Array (column, row, slice) float32, a memory map of the new file `out`, and its affine to LPS+ mm.

    slices: number of planes the inventory found; another number is a refusal.
    """
    headers: list[Header] = []
    array = np.empty((0, 0, 0), np.float32)
    at, compressed = 0, False
    for source in files:
        data = read_unchanged(source, max_bytes=limits.file_bytes)
        header, pixels = _sound_header(data, source, limits)
        if not headers:
            shape = (pixels.columns, pixels.rows, slices)
            array = np.lib.format.open_memmap(out, mode="w+", dtype=np.float32, shape=shape, fortran_order=True)
        for plane, stored in zip(header.planes, _stored_frames(data, pixels, len(header.planes)), strict=True):
            if stored.T.shape != array.shape[:2] or at >= slices:
                raise _failed("The pixels do not have the size that the header says.")
            _check_range(stored, pixels)
            array[:, :, at] = stored.T * np.float32(plane.slope) + np.float32(plane.intercept)
            at += 1
        headers.append(header)
        compressed = compressed or pixels.native_at is None
    if at != slices:
        raise _failed("The series does not have the number of slices that was found.")
    planes = [plane for header in headers for plane in header.planes]
    grid = grid_of(planes, columns=array.shape[0], rows=array.shape[1])
    if grid.order != tuple(range(slices)):  # frames of an enhanced file come in any order
        array[:] = array[:, :, list(grid.order)]
    if compressed and (odd := odd_slice(array)) is not None:
        raise Refusal(Code.BAD_VALUES, f"Slice {odd + 1} does not resemble its neighbours.", do=_AGAIN)
    if pixels.inverted:
        array[:] = array.max() + array.min() - array
    return array, grid.affine_lps


def _sound_header(data: bytes, source: SourceFile, limits: ReadLimits) -> tuple[Header, Pixels]:
    header = parse_header(io.BytesIO(data), source.path, limits=limits)
    if isinstance(header, NotOurs) or header.fault or header.pixels is None:
        raise _failed("A file of the series is no sound MR image.")
    return header, header.pixels


def _stored_frames(data: bytes, pixels: Pixels, frames: int) -> Iterator[NDArray[np.integer]]:
    """The frames of one file as stored integers (rows, columns)."""
    if pixels.native_at is not None:
        kind = np.dtype(f"<{'i' if pixels.signed else 'u'}{pixels.bits_allocated // 8}")
        native = np.frombuffer(data, kind, count=frames * pixels.rows * pixels.columns, offset=pixels.native_at)
        yield from native.reshape(frames, pixels.rows, pixels.columns)
        return
    with quiet_pydicom():
        dataset = pydicom.dcmread(io.BytesIO(data))
        try:
            for codestream in generate_frames(dataset.PixelData, number_of_frames=frames):
                _check_claim(codestream, pixels)
            plugin = "pydicom" if dataset.file_meta.TransferSyntaxUID == RLELossless else "pylibjpeg"
            yield from iter_pixels(dataset, decoding_plugin=plugin, raw=True)
        except (Refusal, MemoryError):
            raise
        except Exception as error:  # every codec has its own
            raise _failed("A compressed frame cannot be decoded.") from error


def _check_claim(codestream: bytes, pixels: Pixels) -> None:
    """A codestream that claims another size than the header is not given to a codec."""
    claimed = claimed_size(codestream)
    if claimed is None or claimed == (pixels.rows, pixels.columns):
        return
    larger = claimed[0] * claimed[1] > pixels.rows * pixels.columns
    code = Code.DECODE_LIMIT if larger else Code.DECODE_FAIL
    raise Refusal(code, "The compressed pixels claim another size than the header.", do=_AGAIN)


def _check_range(stored: NDArray[np.integer], pixels: Pixels) -> None:
    """Bits above Bits Stored are an overlay of old or an error; neither is signal."""
    low = -(1 << pixels.bits_stored - 1) if pixels.signed else 0
    if pixels.bits_stored < pixels.bits_allocated and (
        stored.min() < low or stored.max() >= low + (1 << pixels.bits_stored)
    ):
        raise Refusal(Code.BAD_VALUES, "Pixels use more bits than Bits Stored says.", do=_AGAIN)


_AGAIN = "Send the series again, uncompressed."


def _failed(message: str) -> Refusal:
    return Refusal(Code.DECODE_FAIL, message, do=_AGAIN)
