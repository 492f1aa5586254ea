"""What is no brain: real volumes of other things, and made-up ones."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.artefacts import rician, smooth_field
from pipelines.sample import AXIAL
from pipelines.sample_heads import phantom
from pipelines.scans import read_nifti
from triage.case import Volume

FIELD = (96, 128, 96)
LEG_MM = (0, 15, 16, 19, 20, 36, 37, 42, 43)
LEG_LEVELS = (0.9, 0.9, 0.1, 0.1, 0.45, 0.45, 1.0, 1.0, 0.0)
"""Outward from the marrow: fat, cortical bone, muscle, fat under the skin, air; as on T1."""


def no_brains(data: Path) -> Mapping[str, Callable[[], Volume]]:
    """Name -> volume. data: folder with not_a_brain_mri."""
    found = sorted((data / "not_a_brain_mri").glob("*.nii.gz"))
    real = {path.name.removesuffix(".nii.gz"): partial(read_nifti, path) for path in found}
    return {**real, "phantom": partial(phantom, AXIAL, seed=19), "knees": knees, "noise": noise, "blobs": blobs}


def knees() -> Volume:
    """Two legs side by side, thicker bone at the joint."""
    rng = np.random.default_rng(7)
    x, y, z = np.ogrid[-104:104, -72:72, -48:48]
    joint = 8 * np.exp(-((z / 25) ** 2))
    image = np.zeros((208, 144, 96), np.float32)
    for side in (-50, 50):
        radius = np.hypot(x - side, 1.1 * y) + 0 * z
        image += np.interp(np.where(radius < 20 + joint, radius * 20 / (20 + joint), radius), LEG_MM, LEG_LEVELS)
    image *= np.exp(0.1 * smooth_field(image.shape, (60, 60, 60), rng)) * (
        1 + 0.1 * smooth_field(image.shape, (4, 4, 12), rng)
    )
    return _volume(rician(ndimage.gaussian_filter(image, 0.6), 0.02, rng))


def noise() -> Volume:
    """What a receiver hears of nothing."""
    return _volume(rician(np.zeros(FIELD, np.float32), 0.1, np.random.default_rng(3)))


def blobs() -> Volume:
    """A smooth random texture without any shape."""
    return _volume(0.5 + 0.2 * smooth_field(FIELD, (12, 12, 12), np.random.default_rng(3)))


def _volume(image: NDArray[np.float32]) -> Volume:
    return Volume(array=np.asarray(1000 * image, np.float32), affine=np.eye(4))
