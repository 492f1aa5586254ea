"""Where corrections lie: named by what is in them, written whole or not at all, never changed.

They are written here from the labels alone, so that nothing of an uploaded file's header or name is kept.
"""

import gzip
import hashlib
import secrets
from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from triage.disk import flush

SUFFIX = ".nii.gz"
_SCANNER_ANATOMICAL = 1
"""NIFTI_XFORM_SCANNER_ANAT: the affine leads to the scanner's own millimetres."""


def keep(labels: NDArray[np.uint8], affine: NDArray[np.float64], folder: Path, pseudonym: str) -> tuple[str, str]:
    """Write class ids, (X, Y, Z), with the affine of the scanner's grid; gives SHA-256 and path below the folder."""
    image = nib.Nifti1Image(labels.astype(np.uint8), affine)
    image.set_sform(affine, code=_SCANNER_ANATOMICAL)
    image.set_qform(affine, code=_SCANNER_ANATOMICAL)
    image.header.set_xyzt_units("mm")
    data = gzip.compress(image.to_bytes(), compresslevel=6, mtime=0)
    digest = hashlib.sha256(data).hexdigest()
    relative = PurePosixPath(pseudonym, f"{digest}{SUFFIX}")
    _write(data, folder / relative)
    flush(folder)
    return digest, str(relative)


def load_labels(folder: Path, relative: str) -> NDArray[np.uint8]:
    """(X, Y, Z) class ids of a correction, on the scanner's grid."""
    return np.asarray(nib.load(folder / relative).dataobj, np.uint8)


def _write(data: bytes, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".partial-{secrets.token_hex(4)}")
    try:
        partial.write_bytes(data)
        flush(partial)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    flush(place.parent)
