"""A phantom brain with every structure, and the grids that it lies on."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter, gaussian_gradient_magnitude

from triage.anatomy import LESION, N_CLASSES

SHAPE = (64, 76, 64)

_T1 = (0.03, 0.16, 0.52, 0.82, 0.62, 0.55, 0.13, 0.14, 0.50, 0.80, 0.74, 0.36)
"""Normalised T1-weighted intensity of each class of `triage.anatomy`."""

Ellipsoid = tuple[int, tuple[float, float, float], tuple[float, float, float]]

_ANATOMY: tuple[Ellipsoid, ...] = (
    # Class, centre and radii in half fields of view, RAS+: x to the right, y to the front, z up. Painted in order.
    (1, (0.00, 0.00, 0.10), (0.74, 0.86, 0.74)),
    (2, (0.00, 0.00, 0.12), (0.70, 0.82, 0.69)),
    (3, (0.34, 0.00, 0.14), (0.30, 0.72, 0.58)),
    (3, (-0.34, 0.00, 0.14), (0.30, 0.72, 0.58)),
    (3, (0.00, 0.05, 0.18), (0.30, 0.42, 0.12)),
    (1, (0.00, -0.46, -0.50), (0.52, 0.36, 0.30)),
    (8, (0.00, -0.46, -0.50), (0.48, 0.32, 0.26)),
    (9, (0.00, -0.42, -0.48), (0.24, 0.16, 0.14)),
    (10, (0.00, -0.16, -0.50), (0.13, 0.13, 0.42)),
    (4, (0.22, 0.02, 0.04), (0.12, 0.24, 0.14)),
    (4, (-0.22, 0.02, 0.04), (0.12, 0.24, 0.14)),
    (5, (0.36, -0.10, -0.22), (0.09, 0.24, 0.09)),
    (5, (-0.36, -0.10, -0.22), (0.09, 0.24, 0.09)),
    (6, (0.12, 0.04, 0.24), (0.075, 0.34, 0.11)),
    (6, (-0.12, 0.04, 0.24), (0.075, 0.34, 0.11)),
    (7, (0.00, -0.02, 0.02), (0.05, 0.14, 0.12)),
    (7, (0.00, -0.33, -0.46), (0.05, 0.06, 0.12)),
)
LESION_ELLIPSOID: Ellipsoid = (LESION, (0.40, 0.34, 0.30), (0.11, 0.12, 0.10))
"""A white-matter lesion in the right frontal lobe: its side is known, so a mirrored output is caught."""


def phantom_labels(shape: tuple[int, int, int] = SHAPE, *, lesion: bool = True) -> NDArray[np.uint8]:
    """(X, Y, Z) class ids, RAS+, of a brain with all structures; the lesion lies in the right frontal lobe."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    labels = np.zeros(shape, np.uint8)
    for class_id, centre, radii in (*_ANATOMY, *((LESION_ELLIPSOID,) if lesion else ())):
        inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1
        labels[inside] = class_id
    return labels


def phantom_image(labels: NDArray[np.uint8], *, seed: int = 0, noise: float = 0.02) -> NDArray[np.float32]:
    """T1-weighted image of a label map, about [0, 1]: a skull with scalp around it, partial volume and noise."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in labels.shape), indexing="ij", sparse=True)
    radius = np.sqrt((grid[0] / 0.90) ** 2 + (grid[1] / 0.98) ** 2 + ((grid[2] - 0.06) / 0.90) ** 2)
    scalp = (radius > 0.92) & (radius < 1.0) & (labels == 0)
    image = np.where(scalp, np.float32(0.9), np.asarray(_T1, np.float32)[labels])
    blurred = gaussian_filter(image, 0.6) + np.random.default_rng(seed).normal(0, noise, labels.shape)
    return np.clip(blurred, 0, 1.1).astype(np.float32)


def phantom_entropy(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(X, Y, Z) nats: high where structures meet, and higher in the lesion, as a network is."""
    edges = gaussian_gradient_magnitude(np.asarray(_T1, np.float32)[labels], 0.8)
    in_lesion = gaussian_filter((labels == LESION).astype(np.float32), 1.5)
    return np.clip(2.4 * edges + 1.3 * in_lesion, 0, math.log(N_CLASSES) * 0.98).astype(np.float32)


def centred_affine(shape: Sequence[int], spacing_mm: Iterable[float] = (1.0, 1.0, 1.0)) -> NDArray[np.float64]:
    """RAS+ affine that puts the middle of the grid at the origin."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.asarray(shape) - 1) / 2
    return affine


def sagittal_affine(shape: Sequence[int], spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Affine of a sagittal acquisition: columns run to the back, rows run down, slices run from right to left."""
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2], affine[3, 3] = -spacing_mm[0], -spacing_mm[1], -spacing_mm[2], 1.0
    affine[:3, 3] = -affine[:3, :3] @ (np.asarray(shape) - 1) / 2
    return affine


def onto(
    array: NDArray[Any],
    affine: NDArray[np.float64],
    shape: tuple[int, int, int],
    to: NDArray[np.float64],
    *,
    order: int = 0,
) -> NDArray[Any]:
    """The map resampled onto another grid through millimetres; order 0 is the nearest voxel."""
    step = np.linalg.inv(affine) @ to
    return affine_transform(array, step[:3, :3], step[:3, 3], output_shape=shape, order=order)
