"""What is no brain: real volumes of other things, and made-up ones."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.artefacts import rician, smooth_field
from pipelines.sample_heads import phantom
from pipelines.sample_patients import AXIAL
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


def never_accepted(data: Path) -> Mapping[str, Callable[[], Volume]]:
    """The same and more, of which none may ever be accepted, whatever its header says."""
    return {**no_brains(data), "fruit": fruit, "water": water, "zeros": zeros}


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


def fruit() -> Volume:
    """An orange: peel, white pith, segments full of juice with walls between them."""
    rng = np.random.default_rng(11)
    x, y, z = np.ogrid[-48:48, -48:48, -48:48]
    radius = np.sqrt(x**2 + y**2 + z**2) + 0.6 * smooth_field((96, 96, 96), (20, 20, 20), rng)
    wall = np.abs((np.arctan2(y, x) * 10 / (2 * np.pi)) % 1 - 0.5) * np.hypot(x, y) < 1.2
    juice = 0.75 + 0.08 * smooth_field((96, 96, 96), (3, 3, 8), rng)
    flesh = np.where(wall | (np.hypot(x, y) < 5), 0.35, juice)
    image = np.select([radius < 38, radius < 42, radius < 45], [flesh, 0.25, 0.6], 0.0)
    return _volume(rician(ndimage.gaussian_filter(image.astype(np.float32), 0.6), 0.02, rng))


def water() -> Volume:
    """A bottle of water, as scanners are tested with."""
    x, y, z = np.ogrid[-48:48, -48:48, -48:48]
    image = ((np.hypot(x, y) < 40) & (np.abs(z) < 44)).astype(np.float32)
    return _volume(rician(ndimage.gaussian_filter(image, 0.6), 0.02, np.random.default_rng(5)))


def zeros() -> Volume:
    """Nothing at all."""
    return _volume(np.zeros(FIELD, np.float32))


def noise() -> Volume:
    """What a receiver hears of nothing."""
    return _volume(rician(np.zeros(FIELD, np.float32), 0.1, np.random.default_rng(3)))


def blobs() -> Volume:
    """A smooth random texture without any shape."""
    return _volume(0.5 + 0.2 * smooth_field(FIELD, (12, 12, 12), np.random.default_rng(3)))


def _volume(image: NDArray[np.float32]) -> Volume:
    return Volume(array=np.asarray(1000 * image, np.float32), affine=np.eye(4))
