"""Small predictions for the gate: a brain of two tissues whose signals are easy to say."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from tests.builders import a_case, a_prediction
from tests.phantoms import centred_affine
from triage.case import Case
from triage.gate.operating_point import Limit, OperatingPoint
from triage.gate.rules import ThresholdGate
from triage.gate.signals import FAR_MM, SIGNALS, Evidence
from triage.prediction import Prediction
from triage.verdict import Route, Verdict

SHAPE = (34, 36, 38)
USUAL = np.array([0.4, 0.2, 0.1, 0.05])
SPOT = (11, 19, 21)
"""A place in the brain of the scene, off its middle on every axis."""
GOOD_QUALITY = {"snr": 30.0, "edge_contact_cm2": 0.5, "largest_spacing_mm": 1.0, "brain_ml": 1200.0}


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> NDArray[np.bool_]:
    """Voxels within a radius of a centre."""
    squares = [(n - c) ** 2 for n, c in zip(np.ogrid[tuple(slice(n) for n in shape)], centre, strict=True)]
    return np.asarray(sum(squares) <= radius**2)


def ball_labels(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint8]:
    """White matter in cortex in CSF, away from the sides of the grid."""
    labels = np.zeros(shape, np.uint8)
    centre = tuple((n - 1) / 2 for n in shape)
    for class_id, radius in ((1, 14), (2, 12), (3, 8)):
        labels[ball(shape, centre, radius)] = class_id
    return labels


def a_small_prediction(labels: NDArray[np.uint8] | None = None, **changes: Any) -> Prediction:
    """A prediction of a good scan: entropy is what is usual at each distance, anatomy fits, the samples agree."""
    return replace(_good() if labels is None else _usual_at(labels), **changes)


@cache
def _good() -> Prediction:
    return _usual_at(ball_labels())


_any_prediction = cache(a_prediction)


def _usual_at(labels: NDArray[np.uint8]) -> Prediction:
    affine = centred_affine(labels.shape)
    entropy = USUAL[far_from_boundary(labels)].astype(np.float32)
    return replace(
        _any_prediction(),
        affine=affine,
        image=np.zeros(labels.shape, np.float32),
        labels=labels,
        entropy=entropy,
        expected_entropy=0.8 * entropy,
        conflict=np.full(labels.shape, -0.1, np.float32),
        quality=GOOD_QUALITY,
        scanner_labels=labels,
        scanner_entropy=entropy,
        scanner_affine=affine,
    )


def far_from_boundary(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Distance to the nearest voxel that has a 6-neighbour of another class, at most FAR_MM; background lies beyond."""
    wide = np.pad(labels, FAR_MM)
    boundary = np.zeros(wide.shape, bool)
    for axis in range(3):
        for step in (-1, 1):
            boundary |= wide != np.roll(wide, step, axis)
    distance = distance_transform_cdt(~boundary, metric="taxicab") if boundary.any() else np.full(wide.shape, FAR_MM)
    cut = slice(FAR_MM, -FAR_MM)
    return np.minimum(distance, FAR_MM)[cut, cut, cut]


def padded(prediction: Prediction, by: tuple[tuple[int, int], ...]) -> Prediction:
    """The same prediction in a larger field of view: every conformed map zero-padded."""
    affine = prediction.affine.copy()
    affine[:3, 3] = (affine @ [*(-low for low, _ in by), 1.0])[:3]
    names = ("image", "labels", "entropy", "expected_entropy", "conflict")
    return replace(prediction, affine=affine, **{name: np.pad(getattr(prediction, name), by) for name in names})


def signals_of(prediction: Prediction) -> dict[str, float]:
    """Every signal of a prediction."""
    evidence = Evidence(prediction=prediction, usual_entropy=USUAL)
    return {name: signal(evidence) for name, signal in SIGNALS.items()}


@cache
def good_signals() -> Mapping[str, float]:
    """Every signal of the good scan."""
    return signals_of(a_small_prediction())


def a_gate(**changes: Any) -> ThresholdGate:
    """A gate to which the good scan is typical; a signal's limit is 1 above that."""
    point = OperatingPoint(
        limits={name: Limit(typical=value, limit=value + 1) for name, value in good_signals().items()},
        score_limit=1.0,
        accepts=True,
        usual_entropy=USUAL,
        weightings=frozenset({"T1"}),
        youngest_years=18.0,
        oldest_years=math.inf,
        certified=False,
        promise="Nothing is promised.",
    )
    return ThresholdGate(operating_point=replace(point, **changes))


def verdict_for(prediction: Prediction, case: Case | None = None, **changes: Any) -> Verdict:
    """The verdict of `a_gate` on a prediction."""
    return a_gate(**changes).decide(case or a_case(), prediction)


def with_scalars(disagreement: float, conflict: float, density: float) -> Prediction:
    """A good prediction, worse by so much in three signals."""
    good = a_small_prediction()
    return replace(
        good,
        pairwise_dice=good.pairwise_dice - disagreement,
        atlas_log_bayes_factor=good.atlas_log_bayes_factor - conflict,
        feature_distance=good.feature_distance + density,
    )


def assert_a_human_looks(verdict: Verdict) -> None:
    assert verdict.route is Route.HUMAN_REVIEW
    assert verdict.reasons
    assert verdict.action == verdict.reasons[0].action
