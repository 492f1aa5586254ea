"""What the gate would make of scored cases: its score of each, and whether the measurements failed.

All of it comes from the tune split: the habits of the labels, where each signal's doubt begins, and the weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.failure import PLAIN, Habits, Measured, failures, habits, missed
from pipelines.scans import Scan
from pipelines.scored import Scored
from triage.errors import TriageError
from triage.findings import NOT_ASSESSABLE
from triage.gate.score import Hinges, choose_ridge, fit_weights, hinges

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """Scored cases. score: (n,), infinity where none could make it accepted. failed: (n,), its measurements.

    missed: (n,), its measurements failed or it missed a lesion.
    """

    cases: Sequence[Scored]
    parts: Floats
    score: Floats
    failed: Mask
    missed: Mask

    @property
    def scans(self) -> list[Scan]:
        """Whose they are."""
        return [one.item.scan for one in self.cases]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Score:
    """What the tune split gave. ridge: infinity for equal weights; areas: of each ridge, over held-out subjects."""

    hinge: Hinges
    weights: Floats
    ridge: float
    areas: Mapping[float, float]
    habits: Mapping[str, Habits]

    def judge(self, cases: Sequence[Scored]) -> Judged:
        """The score of every case, and whether it failed."""
        names = self.hinge.names
        values = np.array([[c.signals.get(n, math.nan) for n in names] for c in cases]).reshape(-1, len(names))
        parts = self.hinge.parts(values)
        outside = np.array([bool(c.refused) or c.like == NOT_ASSESSABLE.key for c in cases], bool)
        score = np.where(outside, math.inf, parts @ self.weights)
        failed = np.array([bool(why(c, self.habits)) for c in cases], bool)
        lesions = np.array([bool(c.measured and missed(c.measured)) for c in cases], bool)
        score = np.where(np.isnan(score), math.inf, score)
        return Judged(cases=cases, parts=parts, score=score, failed=failed, missed=failed | lesions)


def up_to(judged: Judged, oldest_years: float) -> Judged:
    """What is older than the population goes to a human whatever its score, so none would make it accepted."""
    ages = [scan.age_years for scan in judged.scans]
    older = np.array([age is not None and not age < oldest_years + 1 for age in ages], bool)
    return replace(judged, score=np.where(older, math.inf, judged.score))


def fit(clean: Sequence[Scored], damaged: Sequence[Scored]) -> Score:
    """Habits of the labels, where each signal's doubt begins, and the weights: from the tune split alone."""
    by_source: dict[str, list[Measured]] = {}
    for case in clean:
        if case.measured is not None:
            by_source.setdefault(source_of(case.item.scan), []).append(case.measured)
    known = habits(by_source)
    good = [c for c in clean if not why(c, known)]
    if len(good) < 2:
        raise TriageError("Fewer than two scans of the tune split are good as they are.", do="Add scans to tune on.")
    names = [name for name, value in good[0].signals.items() if not math.isnan(value)]
    hinge = hinges({name: [c.signals[name] for c in good] for name in names})
    equal = Score(hinge=hinge, weights=np.ones(len(names)), ridge=math.inf, areas={}, habits=known)
    seen = equal.judge([*clean, *damaged])
    usable = np.asarray(np.isfinite(seen.parts).all(axis=1))
    who = [c.item.scan.subject for c, use in zip(seen.cases, usable, strict=True) if use]
    parts, failed = seen.parts[usable], seen.failed[usable]
    if not failed.any():
        return equal
    ridge, areas = choose_ridge(parts, failed, who)
    return Score(hinge=hinge, weights=fit_weights(parts, failed, ridge), ridge=ridge, areas=areas, habits=known)


def source_of(scan: Scan) -> str:
    """Whose habits its labels have."""
    return f"{'manual' if scan.manual else 'automatic'} labels at {scan.voxel or 'any size'}"


def why(case: Scored, known: Mapping[str, Habits]) -> tuple[str, ...]:
    """Why its measurements failed; those of a scan that could not be measured did."""
    if case.measured is None:
        return (case.refused,)
    return failures(case.measured, known.get(source_of(case.item.scan), PLAIN))
