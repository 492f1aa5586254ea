"""Write a volume as a DICOM MR series: the sample that comes with the project, and every series of the tests.

The inverse of reading: array (column, row, slice) and affine to RAS+ become slices with position and orientation in
DICOM's LPS+ (PS3.3 C.7.6.2.1.1). Attributes are given by keyword, e.g. ``tags={"PatientID": "1", "EchoTime": 90}``.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from triage.case import Volume
from triage.dicom.attributes import CLASSIC, ENHANCED, dataset_of, uid_for
from triage.dicom.functional_groups import NOT_TOP_LEVEL, per_frame_groups, shared_groups

_FULL_SCALE = 65535
_ORTHOGONAL = 1e-4


def write_classic_series(volume: Volume, folder: Path, *, tags: Mapping[str, object] | None = None) -> list[Path]:
    """One MR Image Storage file per slice, "0001.dcm" and on, in slice order. Returns the paths.

    tags: attributes by keyword that replace the defaults; None leaves one out. The same volume gets the same UIDs.
    """
    attributes = _with_uids({**CLASSIC, **(tags or {})}, volume)
    stored, slope, intercept = _stored_values(volume.array)
    orientation = _orientation(volume.affine)
    step_mm = volume.spacing_mm[2]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k in range(stored.shape[2]):
        dataset = dataset_of(
            {
                "SOPClassUID": MRImageStorage,
                "SOPInstanceUID": uid_for(str(attributes["SeriesInstanceUID"]), str(k)),
                "InstanceNumber": k + 1,
                "ImagePositionPatient": decimals(position_lps(volume.affine, k)),
                "ImageOrientationPatient": orientation,
                "SliceThickness": decimal(step_mm),
                "SpacingBetweenSlices": decimal(step_mm),
                "RescaleSlope": decimal(slope),
                "RescaleIntercept": decimal(intercept),
                "RescaleType": "US",
                **_plane(volume, stored),
                **attributes,
            }
        )
        dataset.PixelData = _bytes(stored[:, :, k])
        path = folder / f"{k + 1:04d}.dcm"
        _save(dataset, path)
        paths.append(path)
    return paths


def write_enhanced_series(volume: Volume, folder: Path, *, tags: Mapping[str, object] | None = None) -> list[Path]:
    """The same as one Enhanced MR Image Storage file, "enhanced.dcm", one frame a slice. Returns a list of its path.

    Echo, repetition and inversion time and flip angle go to the functional groups, where the standard has them.
    """
    attributes = _with_uids({**ENHANCED, **(tags or {})}, volume)
    stored, slope, intercept = _stored_values(volume.array)
    frames = range(stored.shape[2])
    plane = _plane(volume, stored)
    dataset = dataset_of(
        {
            "SOPClassUID": EnhancedMRImageStorage,
            "SOPInstanceUID": uid_for(str(attributes["SeriesInstanceUID"]), "frames"),
            "NumberOfFrames": stored.shape[2],
            "Rows": plane["Rows"],
            "Columns": plane["Columns"],
            **{keyword: value for keyword, value in attributes.items() if keyword not in NOT_TOP_LEVEL},
        }
    )
    measures = dataset_of({"PixelSpacing": plane["PixelSpacing"], "SliceThickness": decimal(volume.spacing_mm[2])})
    measures.SpacingBetweenSlices = decimal(volume.spacing_mm[2])
    values = dataset_of({"RescaleSlope": decimal(slope), "RescaleIntercept": decimal(intercept), "RescaleType": "US"})
    shared = shared_groups(attributes, _orientation(volume.affine), measures, values)
    positions = [decimals(position_lps(volume.affine, k)) for k in frames]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = per_frame_groups(attributes, positions)
    organization = uid_for(str(attributes["SeriesInstanceUID"]), "dimensions")
    dataset.DimensionOrganizationSequence = [dataset_of({"DimensionOrganizationUID": organization})]
    dataset.DimensionIndexSequence = [_dimension(organization, 0x00209056), _dimension(organization, 0x00209057)]
    dataset.PixelData = b"".join(_bytes(stored[:, :, k]) for k in frames)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "enhanced.dcm"
    _save(dataset, path)
    return [path]


def position_lps(affine: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Centre of the first voxel of slice k in LPS+ mm: Image Position (Patient)."""
    return np.array([-1.0, -1.0, 1.0]) * (affine[:3, 3] + k * affine[:3, 2])


def decimal(value: float) -> str:
    """A DS value: at most 16 characters (PS3.5 6.2), as many digits as fit."""
    for digits in range(15, 4, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    raise ValueError(f"{value} does not fit a decimal string")


def decimals(values: NDArray[np.float64]) -> list[str]:
    """DS values of a vector; a negative zero is written as zero."""
    return [decimal(float(value) + 0.0) for value in values]


def _orientation(affine: NDArray[np.float64]) -> list[str]:
    """Image Orientation (Patient): unit vectors along increasing column and increasing row index, in LPS+."""
    axes = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    if not np.allclose(axes.T @ axes, np.eye(3), atol=_ORTHOGONAL):
        raise ValueError("a DICOM series needs orthogonal axes; this affine is sheared")
    return decimals(np.concatenate([axes[:, 0], axes[:, 1]]))


def _plane(volume: Volume, stored: NDArray[np.uint16]) -> dict[str, object]:
    columns, rows, _ = stored.shape
    column_mm, row_mm, _ = volume.spacing_mm
    return {"Rows": rows, "Columns": columns, "PixelSpacing": [decimal(row_mm), decimal(column_mm)]}


def _stored_values(array: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float, float]:
    """Stored uint16 with slope and intercept: value = slope * stored + intercept (PS3.3 C.11.1.1.2).

    Whole numbers that fit are stored as they are, everything else over the full scale.
    """
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high <= _FULL_SCALE and np.array_equal(array, np.rint(array)):
        return array.astype(np.uint16), 1.0, 0.0
    slope = float(decimal((high - low) / _FULL_SCALE or 1.0))
    intercept = float(decimal(low))
    stored = np.rint((array.astype(np.float64) - intercept) / slope)
    return np.clip(stored, 0, _FULL_SCALE).astype(np.uint16), slope, intercept


def _bytes(plane: NDArray[np.uint16]) -> bytes:
    data = plane.T.astype("<u2").tobytes()  # (column, row) to rows of columns
    return data + b"\0" * (len(data) % 2)


def _with_uids(attributes: Mapping[str, object], volume: Volume) -> dict[str, object]:
    """The attributes and the UIDs they lack: one study per patient, study id and date, one series per volume."""
    study = uid_for("study", *(str(attributes[keyword]) for keyword in ("PatientID", "StudyID", "StudyDate")))
    pixels = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes() + volume.affine.tobytes()).hexdigest()
    return {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": uid_for("series", study, pixels, *(f"{k}={v}" for k, v in sorted(attributes.items()))),
        "FrameOfReferenceUID": uid_for("frame of reference", study),
        **attributes,
    }


def _dimension(organization: str, pointer: int) -> Dataset:
    return dataset_of(
        {
            "DimensionOrganizationUID": organization,
            "DimensionIndexPointer": pointer,
            "FunctionalGroupPointer": 0x00209111,
        }
    )


def _save(dataset: Dataset, path: Path) -> None:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path, enforce_file_format=True)
