"""The segmentation and its entropy as NIfTI files on the scanner's grid."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from triage.verdict import Report

SEGMENTATION = "segmentation.nii.gz"
ENTROPY = "entropy.nii.gz"

_SCANNER_ANATOMICAL = 1
"""NIFTI_XFORM_SCANNER_ANAT: the affine leads to the scanner's own millimetres."""


def as_nifti(report: Report, folder: Path) -> None:
    """Writes the class ids of `triage.anatomy` (uint8) and the predictive entropy in nats (float32)."""
    if report.volume is None or report.prediction is None:
        return
    _save(report.prediction.scanner_labels.astype(np.uint8), report.volume.affine, folder / SEGMENTATION)
    _save(report.prediction.scanner_entropy.astype(np.float32), report.volume.affine, folder / ENTROPY)


def _save(array: NDArray[Any], affine: NDArray[np.float64], path: Path) -> None:
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, code=_SCANNER_ANATOMICAL)
    image.set_qform(affine, code=_SCANNER_ANATOMICAL)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
