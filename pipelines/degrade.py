"""What goes wrong with a scan, graded: from barely visible (level 1) to severe (level 5).

Deterministic given the generator; with the same one, a higher level is the same damage, only worse.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipelines.artefacts import ghosted, moved, rician, smooth_field, thickened, turned, voided
from triage.case import Volume

Degradation = Callable[[Volume, int, np.random.Generator], Volume]

LEVELS = (1, 2, 3, 4, 5)
NOISE = (0.02, 0.05, 0.1, 0.18, 0.3)
"""SD of each receiver channel, of the bright tissue."""
MOVE_DEG_OR_MM = (0.5, 1.2, 2.5, 5.0, 10.0)
"""What one move turns and shifts the head by at most; at least half of it."""
SHOTS, SHOTS_AT_REST = 24, 2
LOG_BIAS = (0.1, 0.2, 0.35, 0.6, 1.0)
"""SD of the log receive field."""
BIAS_REACH_MM = 70
ADDED_SLICE_MM = (1.0, 2.0, 3.5, 5.0, 7.0)
TURN_DEG = (5, 10, 20, 40, 90)
FOLD_AT = (0.95, 0.85, 0.7, 0.5, 0.2)
"""Of the bright tissue, where the intensities of the head turn back on themselves."""
CROPPED = (0.03, 0.08, 0.16, 0.28, 0.45)
"""Of the head's length along one axis."""
MISSING_MM = (4, 8, 16, 32, 56)
GHOST = (0.06, 0.15, 0.3, 0.5, 0.8)
"""What the ghost's lines lack, of their strength."""
VOID_RADIUS_MM = (5, 10, 17, 26, 38)


def noise(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """Rician noise."""
    return _like(volume, rician(volume.array, _at(NOISE, level) * _bright(volume.array), rng))


def motion(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """The head moves during the scan; the middle of k-space sees it at rest, so that labels of it still fit."""
    most = _at(MOVE_DEG_OR_MM, level)
    amount = (most / 2, most)
    return moved(volume, axis=1, shots=SHOTS, turn_deg=amount, shift_mm=amount, rng=rng, at_rest=SHOTS_AT_REST)


def bias_field(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """A smooth receive field."""
    sd = _at(LOG_BIAS, level)
    x, y, z = (BIAS_REACH_MM / s for s in volume.spacing_mm)
    return _like(volume, volume.array * np.exp(sd * smooth_field(volume.array.shape, (x, y, z), rng)))


def thick_slices(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """Thicker axial slices: fewer voxels, on a grid of their own."""
    axis = _nearest_axis(volume, 2)
    return thickened(volume, axis=axis, slice_mm=volume.spacing_mm[axis] + _at(ADDED_SLICE_MM, level))


def rotation(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """The head lies turned about any axis."""
    return turned(volume, _turn(level, rng))


def left_right_flip(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """The image mirrored, with the geometry of the original; the same at every level."""
    _at(LEVELS, level)
    return _like(volume, np.ascontiguousarray(np.flip(volume.array, _nearest_axis(volume, 0))))


def contrast_inversion(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """T1's order of tissues is lost by and by.

    White matter becomes as dark as cortex, then darker (as on FLAIR); at last CSF is the brightest (as on T2). What is
    outside of the head stays dark.
    """
    fold, bright = _at(FOLD_AT, level), _bright(volume.array)
    share = np.clip(volume.array / bright, 0, 1)
    folded = fold - np.abs(share - fold)
    darkest = min(0.0, 2 * fold - 1)
    contrast = bright * (folded - darkest) / (fold - darkest)
    return _like(volume, np.where(_head(volume.array), contrast, volume.array))


def cropping(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """The field of view ends within the head, at any side of it."""
    axis, from_above = int(rng.integers(3)), bool(rng.integers(2))
    first, last = _span(volume.array, axis)
    lost = round(_at(CROPPED, level) * (last - first))
    kept = slice(0, last - lost) if from_above else slice(first + lost, None)
    affine = volume.affine.copy()
    affine[:3, 3] += volume.affine[:3, axis] * (kept.start or 0)
    cut = tuple(kept if a == axis else slice(None) for a in range(3))
    return Volume(array=np.ascontiguousarray(volume.array[cut]), affine=affine)


def missing_slices(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """A block of axial slices without signal, in the middle half of the head."""
    axis = _nearest_axis(volume, 2)
    first, last = _span(volume.array, axis)
    middle = rng.uniform(0.75 * first + 0.25 * last, 0.25 * first + 0.75 * last)
    half = _at(MISSING_MM, level) / volume.spacing_mm[axis] / 2
    gone = slice(max(0, round(middle - half)), round(middle + half))
    array = volume.array.copy()
    array[tuple(gone if a == axis else slice(None) for a in range(3))] = 0
    return _like(volume, array)


def ghosting(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """Copies of the head across the field of view, as flow, breathing and an unstable gain make them."""
    every = int(rng.integers(2, 5))
    return _like(volume, ghosted(volume.array, axis=1, every=every, strength=_at(GHOST, level)))


def voids(volume: Volume, level: int, rng: np.random.Generator) -> Volume:
    """Metal in the head, such as a shunt valve or a clip: no signal, and a bright, distorted rim."""
    i, j, k = (round(rng.uniform(0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b)) for a, b in _spans(volume.array))
    return voided(volume, centre=(i, j, k), radius_mm=_at(VOID_RADIUS_MM, level))


DEGRADATIONS: Mapping[str, Degradation] = {
    "noise": noise,
    "motion": motion,
    "bias_field": bias_field,
    "thick_slices": thick_slices,
    "rotation": rotation,
    "left_right_flip": left_right_flip,
    "contrast_inversion": contrast_inversion,
    "cropping": cropping,
    "missing_slices": missing_slices,
    "ghosting": ghosting,
    "voids": voids,
}


SAME_AT_EVERY_LEVEL = frozenset({"left_right_flip"})
OTHER_GRID = frozenset({"thick_slices", "cropping"})
"""Damage after which the scan lies on another grid."""


def moved_labels(name: str, labels: Volume, level: int, rng: np.random.Generator) -> Volume:
    """Labels of the original as they lie in the degraded scan, in millimetres; most damage moves nothing.

    rng: as the damage itself had it.
    """
    if name == "rotation":
        return turned(labels, _turn(level, rng), order=0)
    return left_right_flip(labels, level, rng) if name == "left_right_flip" else labels


def _turn(level: int, rng: np.random.Generator) -> Rotation:
    axis = rng.standard_normal(3)
    return Rotation.from_rotvec(np.deg2rad(_at(TURN_DEG, level)) * axis / np.linalg.norm(axis))


def _at(values: Sequence[float], level: int) -> float:
    if level not in LEVELS:
        raise ValueError(f"level must be one of {LEVELS}, got {level}")
    return values[LEVELS.index(level)]


def _like(volume: Volume, array: NDArray[np.floating]) -> Volume:
    return Volume(array=array.astype(np.float32), affine=volume.affine)


def _bright(array: NDArray[np.float32]) -> float:
    """The intensity of the bright tissue, white matter on T1."""
    return float(np.percentile(array[array > array.mean()], 90))


def _head(array: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mask of the head with all that it encloses."""
    return np.asarray(ndimage.binary_fill_holes(ndimage.binary_opening(array > 0.15 * _bright(array))))


def _nearest_axis(volume: Volume, direction: int) -> int:
    """The axis of the array that runs nearest to this axis of RAS+."""
    return int(np.abs(volume.affine[direction, :3] / volume.spacing_mm).argmax())


def _spans(array: NDArray[np.float32]) -> list[tuple[int, int]]:
    return [_span(array, axis) for axis in range(3)]


def _span(array: NDArray[np.float32], axis: int) -> tuple[int, int]:
    """First plane of the head along this axis, and the one after its last."""
    share = (array > array.mean()).mean(axis=tuple(a for a in range(3) if a != axis))
    planes = np.flatnonzero(share > 0.01)
    return int(planes[0]), int(planes[-1]) + 1
