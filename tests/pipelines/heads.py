"""A head on grids of every kind: another order of axes, oblique, other voxels."""

import itertools
import math
from dataclasses import replace
from functools import cache

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to
from scipy.ndimage import gaussian_filter

from tests.phantoms import centred_affine
from triage.case import Volume

ORIENTATIONS = [
    (axes, flips) for axes in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)
]
every_orientation = pytest.mark.parametrize(("axes", "flips"), ORIENTATIONS)
Axes = tuple[int, int, int]


@cache
def a_head(shape: Axes = (88, 100, 92), radii: Axes = (30, 36, 32)) -> Volume:
    """An ellipsoid with a darker inside in a little air, RAS+, 1 mm; brighter to the right, the front and the top."""
    affine = centred_affine(shape)
    x, y, z = (n + start for n, start in zip(np.ogrid[tuple(slice(n) for n in shape)], affine[:3, 3], strict=True))
    radius = np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2)
    head = np.where(radius < 0.8, 500 + 2 * x + y + 0.5 * z, 900) * (radius < 1)
    air = np.random.default_rng(0).normal(20, 5, shape)
    return Volume(array=(head + air).astype(np.float32), affine=affine)


def reoriented(volume: Volume, axes: Axes, flips: Axes) -> Volume:
    """The same image in space, stored with its axes in another order and some of them backwards."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for to, (axis, flip) in enumerate(zip(axes, flips, strict=True)):
        matrix[axis, to] = flip
        matrix[axis, 3] += 0 if flip > 0 else volume.array.shape[axis] - 1
    array = np.transpose(volume.array, axes)[tuple(slice(None, None, flip) for flip in flips)]
    return Volume(array=np.ascontiguousarray(array), affine=volume.affine @ matrix)


def rotated(volume: Volume, degrees: float = 20.0) -> Volume:
    """The same voxels in a scanner whose grid is oblique: turned about two axes."""
    a, b = math.radians(degrees), math.radians(degrees / 2)
    turn = np.eye(4)
    turn[:3, :3] = [[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]]
    tilt = np.eye(4)
    tilt[:3, :3] = [[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]]
    return replace(volume, affine=turn @ tilt @ volume.affine)


def resampled(volume: Volume, spacing: tuple[float, float, float]) -> Volume:
    """The volume as a scanner with these voxels would have seen it, over the same field of view."""
    n = [round(n / s) for n, s in zip(volume.array.shape, spacing, strict=True)]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = volume.affine[:3, 3] + (np.array(spacing) - 1) / 2
    blurred = gaussian_filter(volume.array, [0.3 * max(0, s - 1) for s in spacing])
    image = resample_from_to(nib.Nifti1Image(blurred, volume.affine), (n, affine), order=1, mode="nearest")
    return Volume(array=np.asarray(image.dataobj, np.float32), affine=affine)
