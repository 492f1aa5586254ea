"""Made-up heads for the sample inbox: the MNI152 template, deformed, re-contrasted, bent, noised; and a phantom.

Source of the template: Fonov et al. 2009 and 2011 (ICBM 152 nonlinear 2009a), as it lies in the `nilearn` package.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.artefacts import Image, rician, smooth_field
from triage.case import Volume

DARK, GREY, WHITE = 0.25, 0.62, 0.86
"""About where CSF, grey and white matter lie in the template, which is scaled to [0, 1]."""
SHARPENING = 0.2
"""Of the way from the template's blurred tissues to crisp ones."""
SCALP_MM = 28
"""Margin around the brain; the scalp ends well within it."""
LAYERS_MM = (0.0, 2.0, 3.0, 4.5, 5.5, 7.5, 8.5, 10.0, 11.0, 15.0, 16.5)
LAYER_LEVELS = (0.24, 0.22, 0.07, 0.07, 0.34, 0.34, 0.07, 0.07, 0.72, 0.6, 0.0)
"""Outward from the brain: fluid, bone, marrow, bone, scalp, air."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What makes one made-up head differ from the template.

    scale: per axis (R, A, S). turn_deg: about the same axes. warp_mm: SD of the large and of the small deformation.
    levels: CSF, grey and white matter, WHITE = 1. noise: SD in each receiver channel, of white matter.
    bias: SD of the log receive field. scalp: and skull, which the template lacks. lesions: a mass with oedema and
    scattered white-matter lesions.
    """

    seed: int
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    warp_mm: tuple[float, float] = (2.5, 0.6)
    levels: tuple[float, float, float] = (0.25, 0.66, 1.0)
    noise: float = 0.02
    bias: float = 0.04
    scalp: bool = True
    lesions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """How the scanner samples the head. axes: patient directions of (column, row, slice); centre_mm: in RAS+."""

    axes: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    centre_mm: tuple[float, float, float] = (0.0, -18.0, 9.0)
    oblique_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """intensity: T1 in [0, 1.1]. white: probability of white matter. Both (X, Y, Z), 1 mm.

    origin_mm: RAS+ of their voxel (0, 0, 0).
    """

    intensity: Image
    white: Image
    origin_mm: NDArray[np.float32]


def acquire(head: Head, grid: Grid) -> Volume:
    """One T1 of a made-up head as the scanner would have sampled it; white matter about 1000."""
    rng = np.random.default_rng(head.seed)
    affine = affine_of(grid)
    source = template(scalp=head.scalp)
    points = _template_points(head, grid.shape, affine, rng)
    points -= source.origin_mm.reshape(3, 1, 1, 1)
    image = _look_up(source.intensity, points)
    white = _look_up(source.white, points) if head.lesions else None
    image = np.interp(image, (0, DARK, GREY, WHITE, 1.1), (0, *head.levels, 1.1 * head.levels[2])).astype(np.float32)
    if white is not None:
        image = _with_lesions(image, white, affine, head.levels, rng)
    image *= np.exp(head.bias * smooth_field(grid.shape, _voxels(90, grid), rng))
    return Volume(array=rician(image, head.noise, rng) * 1000, affine=affine)


def affine_of(grid: Grid) -> NDArray[np.float64]:
    """(4, 4) index to RAS+ mm; the grid's centre lies at `centre_mm`."""
    directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    affine = np.eye(4)
    axes = np.array([directions[axis] for axis in grid.axes], float).T
    affine[:3, :3] = _rotation((grid.oblique_deg, 0, 0)) @ axes * grid.spacing_mm
    affine[:3, 3] = np.array(grid.centre_mm) - affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2)
    return affine


def phantom(grid: Grid, seed: int) -> Volume:
    """A fluid-filled cylinder with resolution inserts, as scanned every morning for quality assurance."""
    rng = np.random.default_rng(seed)
    affine = affine_of(grid)
    x, y, z = _millimetres(grid.shape, affine) - np.array(grid.centre_mm).reshape(3, 1, 1, 1)
    inside = (x**2 + y**2 < 85**2) & (np.abs(z) < 75)
    image = np.where(inside, 0.7, 0).astype(np.float32)
    for angle, radius in zip(np.linspace(0, 2 * np.pi, 7)[:-1], (14, 11, 9, 7, 5, 3), strict=True):
        insert = (x - 45 * np.cos(angle)) ** 2 + (y - 45 * np.sin(angle)) ** 2 < radius**2
        image[inside & insert & (np.abs(z) < 55)] = 0.1 if radius % 2 else 1.0
    image[inside & (np.abs(x) < 1.5) & (np.abs(y) < 30)] = 0.05
    image = ndimage.gaussian_filter(image, 0.6)
    image *= np.exp(0.08 * smooth_field(grid.shape, _voxels(90, grid), rng))
    return Volume(array=rician(image, 0.02, rng) * 1000, affine=affine)


@cache
def template(*, scalp: bool) -> Template:
    """The MNI152 T1 with its tissues sharpened: an average of many heads is softer than any one of them.

    scalp: with the layers around the brain that the template was stripped of.
    """
    (package,) = find_spec("nilearn").submodule_search_locations  # type: ignore[union-attr,misc]
    maps = []
    for name in ("t1", "gm", "wm"):
        image = nib.load(Path(package, "datasets", "data", f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"))
        maps.append(np.asanyarray(image.dataobj))
    box = ndimage.find_objects((maps[0] > 0).astype(np.uint8))[0]
    t1, grey, white = (tissue[box].astype(np.float32) / 255 for tissue in maps)
    brain = t1 > 0
    tissues = np.stack([np.clip(1 - grey - white, 0, 1), grey, white])
    sharp = tissues * tissues * tissues
    sharp /= np.maximum(sharp.sum(0), 1e-6)
    t1 += brain * np.tensordot(np.array([DARK, GREY, WHITE], np.float32), SHARPENING * (sharp - tissues), 1)
    intensity, white = (np.pad(part, SCALP_MM) for part in (np.clip(t1, 0, 1.1), sharp[2]))
    if scalp:
        intensity = np.where(intensity > 0.12, intensity, _layers(brain))
    origin = image.affine[:3, 3] + [side.start - SCALP_MM for side in box]
    return Template(intensity=intensity, white=white, origin_mm=origin.astype(np.float32))


def _layers(brain: NDArray[np.bool_]) -> Image:
    """Fluid, bone with marrow, and scalp around a brain, SCALP_MM wider on each side; no face.

    They lie at a distance from the brain with its fissures and base closed by 24 mm, as the vault of the skull does.
    """
    half = np.pad(brain[::2, ::2, ::2], SCALP_MM // 2)
    dilated = 2 * ndimage.distance_transform_edt(~half) <= 24
    closed = (2 * ndimage.distance_transform_edt(dilated) > 24) | half
    distance = ndimage.gaussian_filter(2 * ndimage.distance_transform_edt(~closed).astype(np.float32), 1.0)
    shape = tuple(n + 2 * SCALP_MM for n in brain.shape)
    fine = ndimage.affine_transform(distance, np.full(3, 0.5), output_shape=shape, order=1, mode="nearest")
    texture = 1 + 0.15 * smooth_field(fine.shape, (6, 6, 6), np.random.default_rng(0))
    layers: Image = np.interp(fine, LAYERS_MM, LAYER_LEVELS).astype(np.float32) * texture
    return layers


def _template_points(
    head: Head, shape: tuple[int, int, int], affine: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """(3, X, Y, Z) place in the template, RAS+ mm, that each voxel of the grid shows."""
    to_template = np.diag(1 / np.array(head.scale)) @ _rotation(head.turn_deg)
    mm = _millimetres(shape, affine)
    points = np.tensordot(to_template.astype(np.float32), mm, 1)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    for sd, reach_mm in zip(head.warp_mm, (38, 13), strict=True):
        for axis in range(3):
            points[axis] += sd * smooth_field(shape, tuple(reach_mm / spacing), rng)
    return points


def _with_lesions(
    image: Image,
    white: Image,
    affine: NDArray[np.float64],
    levels: tuple[float, float, float],
    rng: np.random.Generator,
) -> Image:
    """A 4 cm mass with a dark core and oedema around it, and small white-matter lesions; dark on T1, as they are."""
    centre = np.array([32.0, 8.0, 28.0]).reshape(3, 1, 1, 1)
    distance = np.linalg.norm(_millimetres(image.shape, affine) - centre, axis=0)
    distance += 3.0 * smooth_field(image.shape, (14, 14, 14), rng)
    fluid, grey, _ = levels
    oedema = np.clip((32 - distance) / 6, 0, 1) * white
    image = image + oedema * (0.9 * grey - image)
    small = np.clip(smooth_field(image.shape, (6, 6, 6), rng) - 2.1, 0, 0.5) * 2 * white
    image = image + small * (0.8 * grey - image)
    for radius, level in ((20, 0.85 * grey), (10, fluid)):
        part = np.clip((radius - distance) / 1.5 + 0.5, 0, 1)
        image = image + part * (level - image)
    return image.astype(np.float32)


def _look_up(image: Image, points: NDArray[np.floating]) -> Image:
    values: Image = ndimage.map_coordinates(image, points, order=1, output=np.float32)
    return values


def _millimetres(shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.float32]:
    """(3, X, Y, Z) RAS+ mm of every voxel."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return np.stack([(a * i + b * j + c * k + d).astype(np.float32) for a, b, c, d in affine[:3]])


def _voxels(mm: float, grid: Grid) -> tuple[float, ...]:
    return tuple(mm / s for s in grid.spacing_mm)


def _rotation(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: NDArray[np.float64] = about_x @ about_y @ about_z
    return rotation
