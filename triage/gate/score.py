"""Fit the score: additive and monotone in the signals, so that its parts sum to it and more doubt never lowers it.

score(u) = sum_j w_j max(0, (u_j - typical_j) / spread_j), with w_j > 0. Weights minimise the logistic loss of failure,
with a ridge that pulls them towards one another: a large one gives the score of equal weights, which is thus one of
those that cross-validation chooses among.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from triage.gate.operating_point import Limit

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

RIDGES = (0.01, 0.1, 1.0, 10.0, np.inf)
LEAST_SHARE = 0.1
"""No weight falls under this share of their mean: every signal alone can send a case to a human."""
SMALLEST_SPREAD: Mapping[str, float] = {"prior_conflict": 0.03, "input_quality": 0.1}
"""In the signal's unit, where good scans may be too alike to tell a spread."""
FAR = 10.0
"""Parts count up to here in the fit: one case far out must not decide all weights."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hinges:
    """Where each signal's doubt begins, and its unit. names: (J,). typical, spread: (J,), of good scans."""

    names: tuple[str, ...]
    typical: Floats
    spread: Floats

    def parts(self, values: Floats) -> Floats:
        """(n, J) signals to (n, J) parts before weighting, >= 0; NaN stays NaN."""
        excess = (values - self.typical) / self.spread
        return np.where(np.isnan(excess), np.nan, np.maximum(excess, 0))


def hinges(good: Mapping[str, Sequence[float]]) -> Hinges:
    """From the signals of good scans: doubt begins at their median, and is counted in standard deviations."""
    values = np.array(list(good.values()), np.float64)
    typical = np.median(values, axis=1)
    smallest = np.array([SMALLEST_SPREAD.get(name, 1e-3) for name in good])
    return Hinges(names=tuple(good), typical=typical, spread=np.maximum(values.std(axis=1, ddof=1), smallest))


def fit_weights(parts: Floats, failed: Mask, ridge: float) -> Floats:
    """(J,) weights of mean 1. parts: (n, J), finite. ridge: times the squared distance from equal weights.

    Minimises the mean logistic loss of a failure's log odds, a (w . parts) + b.
    """
    n = parts.shape[1]
    if np.isinf(ridge):
        return np.ones(n)
    x = np.minimum(parts, FAR)
    sign = np.where(failed, 1.0, -1.0)

    def loss(theta: Floats) -> tuple[float, Floats]:
        weights, offset = theta[:n], theta[n]
        margin = sign * (x @ weights + offset)
        slope = -sign * special.expit(-margin) / len(x)
        away = weights - weights.mean()
        value = -special.log_expit(margin).mean() + ridge * (away @ away)
        return float(value), np.append(x.T @ slope + 2 * ridge * away, slope.sum())

    start = np.append(np.full(n, 0.1), 0.0)
    bounds = [(0.0, None)] * n + [(None, None)]
    # TNC calls no BLAS, whose threads would wait for one another in each of many tiny steps.
    found = optimize.minimize(loss, start, jac=True, method="TNC", bounds=bounds, options={"maxfun": 1000})
    weights = np.maximum(found.x[:n], 1e-9)
    weights = np.maximum(weights / weights.mean(), LEAST_SHARE)
    return np.asarray(weights / weights.mean())


def choose_ridge(parts: Floats, failed: Mask, subjects: Sequence[str]) -> tuple[float, Mapping[float, float]]:
    """The ridge whose held-out scores rank failures best, leaving one subject out at a time; all that were tried.

    Ranked by the area under the ROC curve over the held-out scores; on a tie the larger ridge, the simpler score.
    """
    who = np.array(subjects)
    areas = {}
    for ridge in RIDGES:
        score = np.empty(len(parts))
        for subject in np.unique(who):
            out = who == subject
            score[out] = parts[out] @ fit_weights(parts[~out], failed[~out], ridge)
        areas[ridge] = _area(score, failed)
    return max(areas, key=lambda ridge: (round(areas[ridge], 3), ridge)), areas


def limits_of(hinge: Hinges, weights: Floats, at: float) -> dict[str, Limit]:
    """Limits with which the gate's score is this score over `at`: a case is then accepted up to 1."""
    return {
        name: Limit(typical=float(typical), limit=float(typical + at * spread / weight))
        for name, typical, spread, weight in zip(hinge.names, hinge.typical, hinge.spread, weights, strict=True)
    }


def _area(score: Floats, failed: Mask) -> float:
    """Probability that a failed case scores above one that did not, ties counting half."""
    bad, good = score[failed][:, None], score[~failed][None]
    return float(np.mean((bad > good) + 0.5 * (bad == good)))
