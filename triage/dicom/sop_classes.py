"""Kinds of DICOM objects that are left alone, and the transfer syntaxes that are read (PS3.6 annex A)."""

from collections.abc import Mapping

from pydicom import uid

_IMAGES = "1.2.840.10008.5.1.4.1.1."

NOT_OURS: Mapping[str, str] = {
    "1.2.840.10008.1.3.10": "DICOM directories",
    _IMAGES + "2": "CT images",
    _IMAGES + "2.1": "CT images",
    _IMAGES + "2.2": "CT images",
    _IMAGES + "128": "PET images",
    _IMAGES + "130": "PET images",
    _IMAGES + "20": "nuclear medicine images",
    _IMAGES + "7": "secondary captures",
    _IMAGES + "7.1": "secondary captures",
    _IMAGES + "7.2": "secondary captures",
    _IMAGES + "7.3": "secondary captures",
    _IMAGES + "7.4": "secondary captures",
    _IMAGES + "4.2": "MR spectroscopy",
    _IMAGES + "4.3": "colour MR images",
    _IMAGES + "4.4": "converted MR images",
    _IMAGES + "30": "parametric maps",
    _IMAGES + "66": "raw data",
    _IMAGES + "66.1": "registrations",
    _IMAGES + "66.3": "registrations",
    _IMAGES + "66.4": "segmentations",
    _IMAGES + "66.5": "segmentations",
    _IMAGES + "66.7": "segmentations",
    _IMAGES + "88.11": "structured reports",
    _IMAGES + "88.22": "structured reports",
    _IMAGES + "88.33": "structured reports",
    _IMAGES + "88.34": "structured reports",
    _IMAGES + "88.59": "key object selections",
    _IMAGES + "104.1": "encapsulated documents",
    _IMAGES + "11.1": "presentation states",
    _IMAGES + "11.2": "presentation states",
    _IMAGES + "481.3": "radiotherapy structure sets",
}
OTHER = "other DICOM objects"

TRANSFER_SYNTAXES = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEGLossless,
        uid.JPEGLosslessSV1,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
    }
)
"""Deflated is left out: a small file may inflate to any size. Big endian is retired. Video and JPIP hold no volume."""
