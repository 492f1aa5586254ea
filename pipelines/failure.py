"""What counts as a failed case: a wrong structure or volume, its measurements; and besides, a missed lesion.

DESIGN, section 3: a key structure's Dice under 0.8, a volume off by more than 10 %, or a lesion of 3 mm missed. Labels
have habits that are no failures of a network: manual grey matter holds the sulcal CSF between gyri; at 2 mm a thin
structure never reaches 0.8. So each source of labels gets `Habits`: what clean scans of the tune split reach with them.

A damaged scan is compared with the labels of the undamaged one, in millimetres. What lies outside of a cropped field of
view counts as missed: a reader takes the volume for that of the whole structure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from pipelines.compare import GRADED
from pipelines.grids import labels_on_grid
from pipelines.metrics import dice
from triage.anatomy import LESION
from triage.prediction import Prediction

DICE = 0.8
VOLUME = 0.10
LESION_MM = 3.0
FOUND = 0.1
"""A lesion is found when this share of it is called lesion."""
CLEAN_BEYOND = 0.005
"""A clean scan lies beyond one limit of its label source's habits with this probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One segmentation against its labels. dice, volume_ratio (reported over labelled): by key of GRADED.

    lesions: those of LESION_MM and more in the labels. missed: of these.
    """

    dice: Mapping[str, float]
    volume_ratio: Mapping[str, float]
    lesions: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """Of one structure under one source of labels. dice: below it a case fails.

    ratio: reported over labelled volume of clean scans, their geometric mean. off: a case fails when its ratio is more
    than this away from it, relative to it.
    """

    dice: float
    ratio: float
    off: float


Habits = Mapping[str, Habit]
PLAIN: Habits = {key: Habit(dice=DICE, ratio=1.0, off=VOLUME) for key in GRADED}
"""For labels of which no habit is known."""


def measure(
    prediction: Prediction,
    classes: NDArray[np.uint8],
    affine: NDArray[np.float64],
    lesions: NDArray[np.bool_] | None = None,
) -> Measured:
    """classes: (X, Y, Z), the labels of the undamaged scan, on a grid of their own. lesions: mask on the same grid."""
    labels = labels_on_grid(prediction.labels, prediction.entropy, prediction.affine, affine, classes.shape)
    truth = classes if lesions is None else np.where(lesions, LESION, classes)
    voxel_mm3 = abs(float(np.linalg.det(affine[:3, :3])))
    reported, drawn = prediction.volumes_mm3.mean(axis=0), np.bincount(truth.ravel(), minlength=LESION + 1)
    found = list(_found(labels, lesions, voxel_mm3)) if lesions is not None else []
    return Measured(
        dice={key: dice(labels == c, truth == c) for key, c in GRADED.items()},
        volume_ratio={key: float(reported[c] / max(1, drawn[c]) / voxel_mm3) for key, c in GRADED.items()},
        lesions=len(found),
        missed=sum(not share >= FOUND for share in found),
    )


def habits(clean: Mapping[str, Sequence[Measured]]) -> Mapping[str, Habits]:
    """By source of labels, from the clean scans of the tune split with such labels.

    What is usual is the source's own mean; how far scans lie from it is pooled over the sources. Limits are those of
    the next scan of that source by Student's t: with few scans they are wide. None are known from one scan a source,
    nor from a scan in which a structure was not found: that is no habit of labels.
    """
    found_all = {s: [m for m in own if all(r > 0 for r in m.volume_ratio.values())] for s, own in clean.items()}
    clean = {source: own for source, own in found_all.items() if own}
    if not any(len(own) > 1 for own in clean.values()):
        return {}
    found: dict[str, dict[str, Habit]] = {source: {} for source in clean}
    for key in GRADED:
        dice_limits = _limits({s: [m.dice[key] for m in own] for s, own in clean.items()})
        ratio_limits = _limits({s: [float(np.log(m.volume_ratio[key])) for m in own] for s, own in clean.items()})
        for source in clean:
            low, (usual, off) = dice_limits[source], ratio_limits[source]
            found[source][key] = Habit(
                dice=min(DICE, low[0] - low[1]), ratio=float(np.exp(usual)), off=max(VOLUME, float(np.expm1(off)))
            )
    return found


def failures(case: Measured, usual: Habits) -> tuple[str, ...]:
    """Why its measurements fail, in a reader's words; empty when they do not. What is not a number fails."""
    wrong = [
        f"{_words(key)}: Dice {case.dice[key]:.2f}, under {habit.dice:.2f}"
        for key, habit in usual.items()
        if not case.dice[key] >= habit.dice
    ]
    wrong += [
        f"{_words(key)}: volume {case.volume_ratio[key] / habit.ratio - 1:+.0%}, over {habit.off:.0%}"
        for key, habit in usual.items()
        if not abs(case.volume_ratio[key] / habit.ratio - 1) <= habit.off
    ]
    return tuple(wrong)


def missed(case: Measured) -> tuple[str, ...]:
    """Which lesions it misses, in a reader's words; empty when none."""
    return (f"{case.missed} of {case.lesions} lesions missed",) if case.missed else ()


def _limits(seen: Mapping[str, Sequence[float]]) -> Mapping[str, tuple[float, float]]:
    """Mean of each source, and how far from it the next clean scan may lie."""
    values = {source: np.array(own, np.float64) for source, own in seen.items()}
    freedom = sum(len(own) - 1 for own in values.values())
    spread = np.sqrt(sum(float(((own - own.mean()) ** 2).sum()) for own in values.values()) / freedom)
    far = stats.t.ppf(1 - CLEAN_BEYOND, freedom) * spread
    return {source: (float(own.mean()), float(far * np.sqrt(1 + 1 / len(own)))) for source, own in values.items()}


def _found(labels: NDArray[np.uint8], lesions: NDArray[np.bool_], voxel_mm3: float) -> Iterable[float]:
    """Of each lesion as large as a ball of LESION_MM: the share that is called lesion."""
    parts, n = ndimage.label(lesions, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=n + 1)
    called = np.bincount(parts.ravel(), (labels == LESION).ravel(), minlength=n + 1)
    large = sizes * voxel_mm3 >= np.pi / 6 * LESION_MM**3
    return [float(called[k] / sizes[k]) for k in range(1, n + 1) if large[k]]


def _words(key: str) -> str:
    return key.replace("_", " ")
