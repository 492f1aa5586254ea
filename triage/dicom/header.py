"""One DICOM file to the facts that grouping, geometry and choice need; what else is in the header is not kept."""

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, ImplicitVRLittleEndian, MRImageStorage

from triage.case import SourceFile
from triage.dicom.acquisition import Acquisition, acquisition_of
from triage.dicom.attribute_values import raw_text, text
from triage.dicom.file_meta import invalid, read_meta
from triage.dicom.files import open_regular, sha256_of
from triage.dicom.layout import Layout, lay_out
from triage.dicom.limits import ReadLimits
from triage.dicom.pixels import Pixels, pixels_of
from triage.dicom.planes import Plane, planes_of
from triage.dicom.sop_classes import NOT_OURS, OTHER, TRANSFER_SYNTAXES
from triage.errors import Code, Refusal

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """One file of an MR series. Identifiers stay in memory. fault: why this file spoils its series, None if sound.

    planes: one for a classic file, one per frame for an enhanced one; empty when there is a fault.
    pixels: how the pixels are stored; None when there is a fault.
    """

    file: SourceFile
    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    enhanced: bool
    frame_of_reference: str
    pixels: Pixels | None
    planes: tuple[Plane, ...]
    acquisition: Acquisition
    fault: Refusal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOurs:
    """A sound DICOM object of a kind that we leave alone. kind: in a reader's words, plural."""

    kind: str


def read_header(path: Path, *, limits: ReadLimits) -> Header | NotOurs:
    """Read one file; a Refusal when it is no DICOM file or does not even say to which series it belongs."""
    with open_regular(path, max_bytes=limits.file_bytes) as file:
        return parse_header(file, path, limits=limits)


def parse_header(file: BinaryIO, path: Path, *, limits: ReadLimits) -> Header | NotOurs:
    """The same from an open file; `path` is only recorded."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(4096)
    if head[128:132] != b"DICM":
        raise Refusal(Code.NOT_DICOM, "A file is no DICOM file.", do="Check what it is; it was not read.")
    meta = read_meta(head)
    if not meta.sop_class:
        raise invalid("The file does not name its SOP class.")
    if meta.sop_class not in (MRImageStorage, EnhancedMRImageStorage):
        return NotOurs(kind=NOT_OURS.get(meta.sop_class, OTHER))
    if meta.transfer_syntax not in TRANSFER_SYNTAXES:
        raise Refusal(
            Code.TS_UNSUPPORTED,
            "An image is stored in a transfer syntax that is not read here.",
            do="Ask the sender for Explicit VR Little Endian.",
        )
    enhanced = meta.sop_class == EnhancedMRImageStorage
    elements = limits.enhanced_elements if enhanced else limits.classic_elements
    implicit = meta.transfer_syntax == ImplicitVRLittleEndian
    layout = lay_out(file, meta, size=size, implicit=implicit, elements=elements, limits=limits)
    source = SourceFile(path=path, sha256=sha256_of(file))
    with quiet_pydicom():
        try:
            dataset = pydicom.dcmread(io.BytesIO(layout.header), stop_before_pixels=True)
            return _header(dataset, layout, source, enhanced=enhanced, limits=limits)
        except Refusal:
            raise
        except Exception as error:  # pydicom raises what its callees raise, KeyError to NotImplementedError
            raise invalid("The header of an image cannot be parsed.") from error


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Read leniently, and keep warnings, which quote values of the header, out of logs; process-wide while open."""
    logger = logging.getLogger("pydicom")
    mode, level = config.settings.reading_validation_mode, logger.level
    config.settings.reading_validation_mode = config.IGNORE
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.reading_validation_mode = mode
        logger.setLevel(level)


def _header(dataset: Dataset, layout: Layout, source: SourceFile, *, enhanced: bool, limits: ReadLimits) -> Header:
    try:
        series_uid, study_uid, sop_uid = (
            _uid(dataset, keyword) for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "SOPInstanceUID")
        )
    except Refusal as refusal:
        raise layout.fault or refusal from None
    pixels: Pixels | None
    planes: tuple[Plane, ...] = ()
    fault: Refusal | None = None
    try:
        _check_object(dataset, layout, enhanced=enhanced)
        pixels = pixels_of(dataset, layout, limits)
        planes = planes_of(dataset, enhanced=enhanced)
    except Refusal as refusal:
        pixels, fault = None, refusal
    return Header(
        file=source,
        patient_id=raw_text(dataset, "PatientID"),
        study_uid=study_uid,
        series_uid=series_uid,
        sop_uid=sop_uid,
        enhanced=enhanced,
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        pixels=pixels,
        planes=planes,
        acquisition=acquisition_of(dataset),
        fault=fault,
    )


def _check_object(dataset: Dataset, layout: Layout, *, enhanced: bool) -> None:
    """What spoils a file as a whole."""
    if layout.fault:
        raise layout.fault
    if raw_text(dataset, "SOPClassUID") != (EnhancedMRImageStorage if enhanced else MRImageStorage):
        raise invalid("The file meta information and the data set name different SOP classes.")
    if text(dataset, "BurnedInAnnotation") == "YES":
        raise Refusal(Code.BURNED_IN, "The pixels carry burned-in annotation.", do="Look for names in the image.")


def _uid(dataset: Dataset, keyword: str) -> str:
    uid = raw_text(dataset, keyword)
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise invalid(f"{keyword} is missing or no valid UID.")
    return uid
