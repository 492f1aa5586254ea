"""The segmentation as a DICOM SEG on the frames of its source series, for the PACS that the images came from.

A SEG belongs to the study that it segments (PS3.3 A.51): it names the patient, the study and the frames as its source
does, so it is the one output that is not pseudonymous. Where that must not be, leave "dicom_seg" out of the formats.
"""

import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from triage import __version__
from triage.anatomy import LESION, N_CLASSES, STRUCTURES, Structure
from triage.case import Case, Format
from triage.dicom.header import quiet_pydicom
from triage.report.source_frames import align, headers, labels_on, planes
from triage.verdict import BundleId, Report

SEG = "segmentation.dcm"

_SERIES_NUMBER = 9100
"""High, so that the series stands after those of the scanner."""

_ANATOMICAL_STRUCTURE = CodedConcept("91723000", "SCT", "Anatomical Structure")
_ABNORMAL_STRUCTURE = CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure")
_ARTIFICIAL_INTELLIGENCE = CodedConcept("123109", "DCM", "Artificial Intelligence")


def as_dicom_seg(report: Report, folder: Path) -> None:
    """Writes a BINARY SEG with a segment for each structure that is present; nothing for NIfTI or an empty brain.

    Its UIDs follow from the input, the bundle and the voxels: the same result written twice is the same object.
    """
    if report.prediction is None or report.volume is None or not isinstance(report.case, Case):
        return
    series, labels, affine = report.case.structural, report.prediction.scanner_labels, report.volume.affine
    present = [structure for structure in STRUCTURES if (labels == structure.id).any()]
    if series.format is Format.NIFTI or not present:
        return
    identity = (report.case.content_sha256, report.bundle.digest, hashlib.sha256(labels.tobytes()).hexdigest())
    with quiet_pydicom():  # highdicom warns of unusual names of patients by quoting them
        sources = headers(series)
        size = (int(sources[0].Rows), int(sources[0].Columns))
        frames = np.stack([labels_on(plane, size, labels, affine) for plane in planes(series, sources)])
        align(series, sources)
        _segmentation(sources, frames, present, report.bundle, identity).save_as(folder / SEG)


def _segmentation(
    sources: Sequence[Dataset],
    frames: NDArray[np.uint8],
    present: Sequence[Structure],
    bundle: BundleId,
    identity: tuple[str, ...],
) -> Segmentation:
    """frames: (F, rows, columns) class ids, in the order of the source frames."""
    segment_number = np.zeros(N_CLASSES, np.uint8)
    segment_number[[structure.id for structure in present]] = np.arange(1, len(present) + 1)
    return Segmentation(
        source_images=sources,
        pixel_array=segment_number[frames],
        segmentation_type="BINARY",
        segment_descriptions=[_segment(n, structure, bundle) for n, structure in enumerate(present, start=1)],
        series_instance_uid=_uid("series", *identity),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=_uid("instance", *identity),
        instance_number=1,
        manufacturer="brain-triage",
        manufacturer_model_name=bundle.name,
        software_versions=[f"brain-triage {__version__}", f"bundle {bundle.version}"],
        device_serial_number=bundle.digest[:16],
        content_label="BRAIN_TRIAGE",
        content_description="Research use only, not for diagnosis or treatment",
        series_description="Brain segmentation (research use only)",
        omit_empty_frames=True,
    )


def _segment(number: int, structure: Structure, bundle: BundleId) -> SegmentDescription:
    """The segment of one structure; a structure that merges several names them as its anatomic regions."""
    return SegmentDescription(
        segment_number=number,
        segment_label=structure.name,
        segmented_property_category=_ABNORMAL_STRUCTURE if structure.id == LESION else _ANATOMICAL_STRUCTURE,
        segmented_property_type=CodedConcept(structure.code, "SCT", structure.meaning),
        algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=bundle.name, family=_ARTIFICIAL_INTELLIGENCE, version=bundle.version
        ),
        anatomic_regions=[CodedConcept(code, "SCT", meaning) for code, meaning in structure.regions] or None,
        display_color=CIELabColor.from_rgb(*structure.rgb),
    )


def _uid(*parts: str) -> str:
    """A UID of its parts: a name-based UUID as a decimal under 2.25 (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '/'.join(parts)).int}"
