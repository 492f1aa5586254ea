"""Where the doubt of a flagged case lies: which structures and places carry more entropy than is usual there."""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from triage.anatomy import BRAIN, N_CLASSES, structure_name
from triage.gate.signals import PATCH_MM, Evidence, Patches
from triage.prediction import Prediction
from triage.verdict import EntropyShare, Interpretation, Place, Side, Spot

SPOTS = 3
GLOBAL_MISFIT = 0.1
"""Clean scans and such with a lesion have under .01, metal up to .1, wrong poses and heads upside down over .27."""
MOST_TO_EDIT = 1 / 3
"""Of the brain's slices."""
MIDLINE_MM = 4
ONE_SIDE = 2 / 3
"""A side that holds at least this share of a structure's unusual entropy is named alone."""
UNPAIRED = frozenset({7, 10})
"""Third and fourth ventricle, brainstem."""


def interpret(e: Evidence, patches: Patches) -> Interpretation:
    """What is told of a prediction that has a brain. patches: those whose worst is the place shown."""
    return Interpretation(shares=entropy_shares(e), spots=spots(e), misfit=misfit(e), slices=reached_slices(e, patches))


def misfit(e: Evidence) -> float:
    """Share of the brain, [0, 1], around which anatomy at this pose explains the image worse than at an unknown one."""
    return float(np.mean(e.conflict_patches[e.brain] > 0))


def is_global(e: Evidence) -> bool:
    """Whether anatomy fits badly all over, as after a failed registration, and not in one place, as with a lesion."""
    return bool(e.brain.any()) and misfit(e) >= GLOBAL_MISFIT


def reached_slices(e: Evidence, patches: Patches) -> tuple[int, int] | None:
    """First and last slice of the scanner's grid that the worst patch reaches, with all around it that is half as bad.

    None where nothing is bad: the patches are not positive, or not numbers.
    """
    inside = np.where(e.brain, patches, -np.inf)
    index = np.unravel_index(int(inside.argmax()), inside.shape)
    if not inside[index] > 0:
        return None
    reached = np.argwhere(_around(inside, index)) + [s.start for s in e.box]
    return _slices(e.prediction, reached)


def worth_editing(e: Evidence, slices: tuple[int, int]) -> bool:
    """Whether these are few enough of the brain's slices to be edited one by one."""
    corners = np.array(list(itertools.product(*((s.start + PATCH_MM, s.stop - PATCH_MM) for s in e.box))))
    first, last = _slices(e.prediction, corners)
    return slices[1] - slices[0] + 1 <= MOST_TO_EDIT * (last - first + 1)


def entropy_shares(e: Evidence) -> tuple[EntropyShare, ...]:
    """Each structure's share of the unusual entropy, largest first; none where no structure has more than is usual.

    A structure's unusual entropy is the sum over its voxels of entropy minus what is usual at that distance from a
    boundary: where some voxels have more and others less, as in a good scan, it is about nothing.
    """
    labels = e.prediction.labels[e.box][e.brain]
    right = (_mni_x(e.prediction)[e.box][e.brain] > 0).astype(int)
    by_side = np.bincount(2 * labels + right, e.excess[e.brain], 2 * N_CLASSES).reshape(N_CLASSES, 2)
    unusual = np.maximum(by_side.sum(axis=1), 0)
    total, voxels = unusual.sum(), np.bincount(labels, minlength=N_CLASSES)
    if not total > 0:
        return ()
    shares = [
        EntropyShare(
            structure=structure_name(c),
            side=_side_of_structure(e.prediction, c, by_side[c]),
            share=float(unusual[c] / total),
            of_brain=float(voxels[c] / len(labels)),
        )
        for c in BRAIN
        if unusual[c] > 0
    ]
    return tuple(sorted(shares, key=lambda s: -s.share))


def spots(e: Evidence) -> tuple[Spot, ...]:
    """The worst patches of entropy, at most SPOTS, none within the surroundings of another one."""
    patches = np.where(e.brain, e.excess_patches, -np.inf)
    found: list[Spot] = []
    while len(found) < SPOTS and (peak := float(patches.max())) > 0:
        index = np.unravel_index(int(patches.argmax()), patches.shape)
        around = _around(patches, index)
        conformed = tuple(int(n) + s.start for n, s in zip(index, e.box, strict=True))
        place = place_at(e.prediction, (conformed[0], conformed[1], conformed[2]))
        side = _side_of_voxel(e.prediction, place.conformed)
        found.append(Spot(place=place, side=side, nats=peak, ml=float(np.count_nonzero(around)) / 1000))
        patches[around] = -np.inf
        patches[tuple(slice(max(0, n - PATCH_MM), n + PATCH_MM + 1) for n in index)] = -np.inf
    return tuple(found)


def place_at(prediction: Prediction, index: tuple[int, int, int]) -> Place:
    """The voxel of the conformed grid, also in millimetres and on the scanner's grid."""
    mm = (prediction.affine @ [*index, 1.0])[:3]
    nearest = np.rint(np.linalg.inv(prediction.scanner_affine) @ [*mm, 1.0])[:3].astype(int)
    on_grid = np.clip(nearest, 0, np.array(prediction.scanner_labels.shape) - 1)
    return Place(
        conformed=index,
        scanner=(int(on_grid[0]), int(on_grid[1]), int(on_grid[2])),
        ras_mm=(float(mm[0]), float(mm[1]), float(mm[2])),
        structure=structure_name(int(prediction.labels[index])),
    )


def _around(patches: Patches, index: tuple[np.intp, ...]) -> NDArray[np.bool_]:
    """The connected patches around this one that are at least half as bad: the outline of a blob wider than a patch."""
    regions, _ = ndimage.label(patches >= patches[index] / 2)
    return np.asarray(regions == regions[index])


def _slices(prediction: Prediction, index: NDArray[np.integer]) -> tuple[int, int]:
    """First and last slice of the scanner's grid, its third axis, on which these voxels lie. index: (n, 3)."""
    to_scanner = np.linalg.inv(prediction.scanner_affine) @ prediction.affine
    at = np.rint(index @ to_scanner[2, :3] + to_scanner[2, 3]).astype(int)
    low, high = np.clip((at.min(), at.max()), 0, prediction.scanner_labels.shape[2] - 1)
    return int(low), int(high)


def _mni_x(prediction: Prediction) -> NDArray[np.float32]:
    """(X, Y, Z) millimetres to the patient's right of the brain's midplane, by the registration."""
    a, b, c, d = (prediction.mni_affine @ prediction.affine)[0]
    i, j, k = (np.arange(n, dtype=np.float32) for n in prediction.labels.shape)
    x: NDArray[np.float32] = a * i[:, None, None] + b * j[:, None] + c * k + d
    return x


def _has_sides(prediction: Prediction) -> bool:
    """A registration that is no better than an unknown pose tells no side."""
    return prediction.atlas_log_bayes_factor > 0


def _side_of_structure(prediction: Prediction, class_id: int, by_side: NDArray[np.float64]) -> Side:
    """by_side: (2,) unusual entropy on the left and on the right."""
    if class_id in UNPAIRED:
        return Side.MIDLINE
    if not _has_sides(prediction):
        return Side.UNKNOWN
    left, right = np.maximum(by_side, 0) / np.maximum(by_side, 0).sum()
    if max(left, right) < ONE_SIDE:
        return Side.BOTH
    return Side.RIGHT if right > left else Side.LEFT


def _side_of_voxel(prediction: Prediction, index: tuple[int, int, int]) -> Side:
    if not _has_sides(prediction):
        return Side.UNKNOWN
    x = float((prediction.mni_affine @ prediction.affine @ [*index, 1.0])[0])
    if abs(x) < MIDLINE_MM:
        return Side.MIDLINE
    return Side.RIGHT if x > 0 else Side.LEFT
