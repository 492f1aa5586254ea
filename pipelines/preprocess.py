"""Conform a volume to the network's grid; `pipelines.grids` brings maps back to the scanner's.

The conformed grid is RAS+ along the scanner's own axes (flips and permutations, never a rotation), 1 mm isotropic,
cropped to the head from the vertex down, so that air, neck and zero-padding change nothing.
"""

import math
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.network import SIDE_MULTIPLE, SMALLEST_SIDE
from triage.case import Volume
from triage.errors import Code, Refusal

HEAD_HEIGHT_MM = 184
"""Kept below the vertex: brain and scalp of a large adult reach 165 mm to the foramen magnum."""
MARGIN_MM = 4
COARSE_MM = 4
LARGEST_SIDE = 288
LARGEST_FIELD_MM = 1024
"""A larger field of view is a wrong unit of length, and would not fit in memory at 1 mm."""
AIR_DISTANCE_MM = 8
PART_OF_HEAD = 0.25
"""A body of this share of the largest one belongs to the head, as where slices between them have no signal."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conformed:
    """image: (X, Y, Z) float32, normalised to about [0, 1.5], sides a multiple of 32, zero outside `extent`.

    affine: (4, 4) conformed index to scanner RAS+ mm. extent: shape of the part that holds head, from the low corner.
    cut: for each end of each axis (-x, +x, -y, +y, -z, +z) whether the field of view ends there.
    snr: mean of the head over the SD of the air; NaN without air, as in a skull-stripped image.
    """

    image: NDArray[np.float32]
    affine: NDArray[np.float64]
    extent: tuple[int, int, int]
    cut: tuple[bool, ...]
    snr: float


def conform(volume: Volume) -> Conformed:
    """Reorient, resample, crop to the head, normalise. Raises Refusal(COVERAGE | BAD_VALUES) when there is no head."""
    measured, padded = without_padding(volume)
    array, affine = to_ras_1mm(measured)
    mask = head_mask(array)
    snr = _signal_to_noise(array, mask)
    # A head that touches its padding gets its margin from it: no more than the margin, however much there is.
    array = np.pad(array, [(MARGIN_MM * low, MARGIN_MM * high) for low, high in padded])
    mask = np.pad(mask, [(MARGIN_MM // COARSE_MM * low, MARGIN_MM // COARSE_MM * high) for low, high in padded])
    low, high = head_box(mask, array.shape)
    crop = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    image = np.zeros([max(SMALLEST_SIDE, -(-n // SIDE_MULTIPLE) * SIDE_MULTIPLE) for n in crop.shape], np.float32)
    image[tuple(slice(n) for n in crop.shape)] = normalise(crop)
    corner = [a - MARGIN_MM * before for a, (before, _) in zip(low, padded, strict=True)]
    shifted = affine.copy()
    shifted[:3, 3] = (affine @ [*corner, 1.0])[:3]
    ends = zip(low, high, array.shape, padded, strict=True)
    cut = tuple(end for a, b, n, (before, after) in ends for end in (a == 0 and not before, b == n and not after))
    x, y, z = crop.shape
    return Conformed(image=image, affine=shifted, extent=(x, y, z), cut=cut, snr=snr)


def without_padding(volume: Volume) -> tuple[Volume, list[tuple[bool, bool]]]:
    """The volume without its outer planes of zeros, and for both ends of each RAS+ axis whether there were any.

    Every threshold and the noise are measured on what is left, so that zero-padding changes none of them.
    """
    filled = volume.array != 0
    spans = [_span(filled, axis) for axis in range(3)] if filled.any() else [(0, 0)] * 3
    if not all(b > a for a, b in spans):
        raise Refusal(Code.BAD_VALUES, "The image is empty.", do="Send the series again, or another one.")
    corner = [a for a, _ in spans]
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [*corner, 1.0])[:3]
    kept = Volume(array=volume.array[tuple(slice(a, b) for a, b in spans)], affine=affine)
    ends = [(a > 0, b < n) for (a, b), n in zip(spans, volume.array.shape, strict=True)]
    padded = [(False, False)] * 3
    for axis, (to, flip) in enumerate(nib.io_orientation(volume.affine)):
        padded[int(to)] = ends[axis] if flip > 0 else ends[axis][::-1]
    return kept, padded


def to_ras_1mm(volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(X, Y, Z) float32 at 1 mm in the closest RAS+ order, and its affine. Trilinear; Gaussian before thinning."""
    orientation = nib.io_orientation(volume.affine)
    array = nib.apply_orientation(volume.array, orientation)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.array.shape)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    field = array.shape * spacing
    if not field.max() <= LARGEST_FIELD_MM:
        raise Refusal(
            Code.COVERAGE,
            f"The field of view is {field.max():.0f} mm on one axis, {LARGEST_FIELD_MM} mm is the most.",
            do="Check the unit of length, and that the series shows a head.",
        )
    if np.allclose(spacing, 1, atol=1e-3):
        return np.ascontiguousarray(array, np.float32), affine
    blur = [0.42 * np.sqrt(max(0.0, 1 / s**2 - 1)) for s in spacing]
    if max(blur) > 0.2:
        array = ndimage.gaussian_filter(array, blur, mode="nearest", truncate=3)
    shape = [max(1, round(n)) for n in field]
    # Centres of the outer voxels keep half a new voxel to the field's edge, so both grids share one field of view.
    offset = [(1 / s - 1) / 2 for s in spacing]
    array = ndimage.affine_transform(array, 1 / spacing, offset, shape, order=1, mode="nearest", output=np.float32)
    scaled = affine @ np.diag([*(1 / spacing), 1.0])
    scaled[:3, 3] = (affine @ [*offset, 1.0])[:3]
    return np.ascontiguousarray(array), scaled


def head_mask(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(X, Y, Z) at 1 mm -> mask of the largest bright bodies on a 4 mm grid, (X//4, Y//4, Z//4)."""
    coarse = _block_mean(array, COARSE_MM)
    varied = coarse[coarse > coarse.min()]
    low, high = np.percentile(coarse, 1), np.percentile(varied, 98) if len(varied) else math.nan
    if not high > low:  # also when a value is not finite
        raise Refusal(
            Code.BAD_VALUES, "The image is constant or not finite.", do="Send the series again, or another one."
        )
    scaled = np.clip((coarse - low) / (high - low), 0, 1)
    mask = scaled > 0.5 * _otsu(scaled)
    mask = ndimage.binary_opening(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    labels, n = ndimage.label(mask)
    if n == 0:
        raise Refusal(Code.COVERAGE, "No head was found in the image.", do="Check that the series shows a head.")
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(np.isin(labels, 1 + np.flatnonzero(sizes >= PART_OF_HEAD * sizes.max())))


def head_box(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Box [low, high) in 1 mm voxels of an array of `shape` around its 4 mm head mask, from the vertex down."""
    low, high = [], []
    neck = max(0, _span(mask, 2)[1] - HEAD_HEIGHT_MM // COARSE_MM)
    head = mask.copy()
    head[:, :, :neck] = False
    for axis, full in enumerate(shape):
        a, b = _span(head, axis)
        low.append(max(0, a * COARSE_MM - MARGIN_MM))
        high.append(min(full, b * COARSE_MM + MARGIN_MM))
        if high[-1] - low[-1] > LARGEST_SIDE:
            raise Refusal(
                Code.COVERAGE,
                f"The body in the image is {high[-1] - low[-1]} mm long on one axis, a head at most {LARGEST_SIDE} mm.",
                do="Check that the series shows a head.",
            )
    return tuple(low), tuple(high)


def normalise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Robust scaling: 0.5th percentile to 0, 99.5th percentile of the foreground to 1, clipped to [0, 1.5]."""
    values = np.sort(image.ravel()[::37])
    low = values[int(0.005 * len(values))]
    foreground = values[values > low + 0.02 * (values[-1] - low)]
    high = foreground[int(0.995 * (len(foreground) - 1))] if len(foreground) else values[-1]
    return np.asarray(np.clip((image - low) / (float(high - low) or 1.0), 0, 1.5), np.float32)


def _block_mean(array: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    shape = [max(1, n // size) for n in array.shape]
    if min(array.shape) < size:
        raise Refusal(Code.COVERAGE, "The image is thinner than 4 mm.", do="Send a series that covers the brain.")
    cut = array[tuple(slice(n * size) for n in shape)]
    blocks = cut.reshape(shape[0], size, shape[1], size, shape[2], size)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32)


def _otsu(scaled: NDArray[np.float32]) -> float:
    """Threshold in [0, 1] of largest between-class variance. Source: Otsu 1979, IEEE Trans. SMC 9(1), eq. 12."""
    counts, edges = np.histogram(scaled, bins=128, range=(0, 1))
    centres = (edges[1:] + edges[:-1]) / 2
    weight = counts.cumsum()
    mean = (counts * centres).cumsum()
    total, grand = weight[-1], mean[-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        between = (grand * weight / total - mean) ** 2 / (weight * (total - weight))
    return float(centres[np.nanargmax(np.where(np.isfinite(between), between, -1))])


def _span(mask: NDArray[np.bool_], axis: int) -> tuple[int, int]:
    hit = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    return int(hit[0]), int(hit[-1]) + 1


def _signal_to_noise(array: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    near = ndimage.binary_dilation(mask, iterations=AIR_DISTANCE_MM // COARSE_MM)
    inside = array[tuple(slice(n * COARSE_MM) for n in mask.shape)]
    air = inside[~_fine(near)]
    if air.size < 1000 or not air.std() > 0:
        return float("nan")
    return float(inside[_fine(mask)].mean() / air.std())


def _fine(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    for axis in range(3):
        mask = np.repeat(mask, COARSE_MM, axis)
    return mask
