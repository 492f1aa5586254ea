"""Where the doubt of a flagged case lies: which structures and places carry more entropy than is usual there."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from triage.anatomy import BRAIN, N_CLASSES, structure_name
from triage.gate.signals import PATCH_MM, Evidence
from triage.verdict import EntropyShare, Interpretation, Place, Prediction, Side, Spot

SPOTS = 3
MIDLINE_MM = 4
ONE_SIDE = 2 / 3
"""A side that holds at least this share of a structure's unusual entropy is named alone."""
UNPAIRED = frozenset({7, 10})
"""Third and fourth ventricle, brainstem."""


def interpret(e: Evidence) -> Interpretation:
    """Shares and spots of a prediction that has a brain."""
    return Interpretation(shares=entropy_shares(e), spots=spots(e))


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
        regions, _ = ndimage.label(patches >= peak / 2)
        around = regions == regions[index]
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
