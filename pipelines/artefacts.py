"""What a scanner and a patient do to an image, as pure functions with physical parameters."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from triage.case import Volume

Image = NDArray[np.float32]

MOVES = 4
"""How often a moving head moves during one scan."""


def smooth_field(shape: tuple[int, ...], spacing: tuple[float, ...], rng: np.random.Generator) -> Image:
    """Gaussian random field of zero mean and unit variance, correlated over about `spacing` voxels on each axis."""
    bases = []
    for n, step in zip(shape, spacing, strict=True):
        centres = np.arange(-2, np.ceil(n / step) + 3) * step
        basis = np.exp(-0.5 * ((np.arange(n)[:, None] - centres) / (0.7 * step)) ** 2)
        bases.append((basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32))
    x, y, z = bases
    weights = rng.standard_normal([x.shape[1], y.shape[1], z.shape[1]], np.float32)
    field: Image = np.tensordot(x, y @ (weights @ z.T), 1)
    return field


def rician(image: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Magnitude of the image with Gaussian noise in both channels. Source: Gudbjartsson and Patz 1995, eq. 1."""
    real = image + sigma * rng.standard_normal(image.shape, np.float32)
    magnitude: Image = np.hypot(real, sigma * rng.standard_normal(image.shape, np.float32))
    return magnitude


def moved(
    volume: Volume,
    *,
    axis: int,
    shots: int,
    turn_deg: tuple[float, float],
    shift_mm: tuple[float, float],
    rng: np.random.Generator,
    at_rest: int = 0,
) -> Volume:
    """The same head, which turned and shifted between shots: each pose fills its share of the phase-encoding lines.

    turn_deg, shift_mm: least and most of one move. at_rest: shots around the middle of k-space, which decides where the
    image shows the head, that see it in its first pose.
    """
    moves = (_nudged(volume, axis, turn_deg, shift_mm, rng) for _ in range(MOVES))
    poses = [volume.array, *moves]
    lines = volume.array.shape[axis]
    pose_of_shot = rng.integers(0, len(poses), shots)
    pose_of_shot[(shots - at_rest) // 2 : (shots + at_rest) // 2] = 0
    pose_of_line = fft.ifftshift(pose_of_shot[np.arange(lines) * shots // lines])
    spectrum = sum(
        fft.fft(pose, axis=axis) * _along(axis, (pose_of_line == k).astype(np.float32)) for k, pose in enumerate(poses)
    )
    return Volume(array=np.abs(fft.ifft(spectrum, axis=axis)).astype(np.float32), affine=volume.affine)


def ghosted(image: Image, *, axis: int, every: int, strength: float) -> Image:
    """Every n-th phase-encoding line is weaker by the strength, [0, 1]: n - 1 copies of the head across the field."""
    gain = np.ones(image.shape[axis], np.float32)
    gain[::every] = 1 - strength
    magnitude: Image = np.abs(fft.ifft(fft.fft(image, axis=axis) * _along(axis, gain), axis=axis)).astype(np.float32)
    return magnitude


def thickened(volume: Volume, *, axis: int, slice_mm: float) -> Volume:
    """Slices of this thickness without gaps: each the mean of what it covers; a rest thinner than a slice is lost."""
    spacing = volume.spacing_mm[axis]
    n = volume.array.shape[axis]
    count = max(1, int(n * spacing / slice_mm + 1e-6))
    edges = np.minimum(np.arange(count + 1) * slice_mm / spacing, n)
    stack = np.moveaxis(volume.array, axis, 0)
    total = np.concatenate([np.zeros_like(stack[:1], np.float64), np.cumsum(stack, axis=0, dtype=np.float64)])
    whole = np.minimum(edges.astype(int), n - 1)
    part = (edges - whole)[:, None, None]
    at_edges = total[whole] * (1 - part) + total[whole + 1] * part
    slices = np.diff(at_edges, axis=0) / np.diff(edges)[:, None, None]
    step = np.ones(4)
    step[axis] = slice_mm / spacing
    affine = volume.affine @ np.diag(step)
    affine[:3, 3] += volume.affine[:3, axis] * (step[axis] - 1) / 2
    return Volume(array=np.ascontiguousarray(np.moveaxis(slices, 0, axis), np.float32), affine=affine)


def turned(volume: Volume, rotation: Rotation, *, order: int = 1) -> Volume:
    """The head turned about the middle of the field of view, on the same grid; zero where it saw nothing.

    order: of the interpolation, 0 for labels.
    """
    axes = volume.affine[:3, :3]
    back = np.linalg.solve(axes, rotation.inv().as_matrix() @ axes)
    middle = (np.array(volume.array.shape) - 1) / 2
    array = ndimage.affine_transform(volume.array, back, middle - back @ middle, order=order)
    return Volume(array=array, affine=volume.affine)


def voided(volume: Volume, *, centre: tuple[int, int, int], radius_mm: float) -> Volume:
    """A metal implant: no signal within the radius, what lay in its outer half piled up, bright, in a rim around it.

    centre: voxel. Farther than two radii from it nothing moves by more than a fourteenth of the radius.
    """
    grid = np.ogrid[tuple(slice(n) for n in volume.array.shape)]
    offsets = zip(grid, centre, volume.spacing_mm, strict=True)
    distance = np.sqrt(sum(((index - c) * s) ** 2 for index, c, s in offsets))
    near = distance < 3 * radius_mm
    depth = np.maximum(distance[near] / radius_mm - 1, 0)
    inward = 0.5 * np.exp(-2 * depth) / (depth + 1)
    middle = np.array(centre)[:, None]
    places = middle + (np.argwhere(near).T - middle) * (1 - inward)
    array = volume.array.copy()
    array[near] = ndimage.map_coordinates(volume.array, places, order=1) * (1 + 0.8 * np.exp(-6 * depth))
    array[distance < radius_mm] = 0
    return Volume(array=array, affine=volume.affine)


def _nudged(
    volume: Volume, axis: int, turn_deg: tuple[float, float], shift_mm: tuple[float, float], rng: np.random.Generator
) -> Image:
    """The array turned about its middle in the plane of `axis` and the next one, and shifted along `axis`."""
    angle = np.deg2rad(rng.uniform(*turn_deg) * rng.choice((-1, 1)))
    i, j = axis, (axis + 1) % 3
    ratio = volume.spacing_mm[j] / volume.spacing_mm[i]
    turn = np.eye(3)
    turn[i, i] = turn[j, j] = np.cos(angle)
    turn[i, j], turn[j, i] = -np.sin(angle) * ratio, np.sin(angle) / ratio
    middle = (np.array(volume.array.shape) - 1) / 2
    offset = middle - turn @ middle + np.eye(3)[axis] * rng.uniform(*shift_mm) / volume.spacing_mm[i]
    nudged: Image = ndimage.affine_transform(volume.array, turn, offset, order=1)
    return nudged


def _along(axis: int, values: Image) -> Image:
    """(n,) values as an array that broadcasts along this axis of three."""
    return np.expand_dims(values, [other for other in range(3) if other != axis])
