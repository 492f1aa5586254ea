"""The image and what was found in it as NIfTI files on the scanner's grid, for viewers, editors and retraining."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from triage.case import Volume
from triage.prediction import Prediction
from triage.verdict import Report

IMAGE = "image.nii.gz"
SEGMENTATION = "segmentation.nii.gz"
ENTROPY = "entropy.nii.gz"
CONFLICT = "conflict.nii.gz"

STEP_NATS = 0.001
_SCANNER_ANATOMICAL = 1
"""NIFTI_XFORM_SCANNER_ANAT: the affine leads to the scanner's own millimetres."""


def as_nifti(report: Report, folder: Path) -> None:
    """Writes the image, the class ids of `triage.anatomy` (uint8), predictive entropy and conflict in nats.

    The image has its very values, as int16 when that type holds them all and as float32 when not. Entropy and conflict
    count steps of `STEP_NATS`: as float32 the digits that tell nothing made a file of entropy seven times as large.
    """
    volume, prediction = report.volume, report.prediction
    if volume is None or prediction is None:
        return
    for name, array, step in (
        (IMAGE, _smallest(volume.array), None),
        (SEGMENTATION, prediction.scanner_labels.astype(np.uint8), None),
        (ENTROPY, _steps(prediction.scanner_entropy), STEP_NATS),
        (CONFLICT, _steps(_conflict_on(volume, prediction)), STEP_NATS),
    ):
        image = _on_grid(array, volume.affine, of=report.case.pseudonym)
        if step is not None:
            image.header.set_slope_inter(step, 0)
        nib.save(image, folder / name)


def _smallest(array: NDArray[np.float32]) -> NDArray[Any]:
    """The array in int16 when it comes back from there unchanged, as most scanners' values do."""
    whole = np.clip(array, -(2**15), 2**15 - 1).astype(np.int16)
    return whole if np.array_equal(whole, array) else array


def _conflict_on(volume: Volume, prediction: Prediction) -> NDArray[np.float32]:
    """The conflict at the scanner's voxels, 0 outside the conformed crop."""
    index = np.linalg.inv(prediction.affine) @ volume.affine
    return np.asarray(
        ndimage.affine_transform(
            prediction.conflict, index[:3, :3], index[:3, 3], output_shape=volume.array.shape, order=1
        )
    )


def _steps(nats: NDArray[np.float32]) -> NDArray[np.int16]:
    """Whole steps; what is no number becomes the largest, so that it does not look certain."""
    limits = np.iinfo(np.int16)
    steps = np.nan_to_num(np.rint(nats / STEP_NATS), nan=limits.max)
    return np.asarray(np.clip(steps, limits.min, limits.max), np.int16)


def _on_grid(array: NDArray[Any], affine: NDArray[np.float64], *, of: str) -> nib.Nifti1Image:
    """The array on the scanner's grid. of: the pseudonym, by which an edited file is known again."""
    image = nib.Nifti1Image(array, affine)
    image.set_sform(affine, code=_SCANNER_ANATOMICAL)
    image.set_qform(affine, code=_SCANNER_ANATOMICAL)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = of.encode("ascii")
    return image
