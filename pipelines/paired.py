"""Two models on the same cases: paired differences of what matters, and margins within which a loss is none.

Subjects are drawn again, each with all that both models made of it, so the spread between heads cancels. A difference
within its margin is no loss; that it is within must be shown: an interval that reaches beyond the margin, or too few
subjects, is "cannot tell", which is no leave to promote.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics import BOOTSTRAPS, augrc, subject_interval

Floats = NDArray[np.float64]

FEWEST_SUBJECTS = 10
"""With fewer, a percentile interval is too narrow to show that nothing was lost."""
ALL = "all"


class Standing(StrEnum):
    """Where a challenger stands against the live model."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examined:
    """What one model made of one case. groups: subgroups that the case belongs to, by their kind.

    dice: mean over the graded structures; NaN without labels. counts: (G, bins, 3) of `Reliability` in each structure's
    boundary band; None without labels. score: of the gate, NaN is the most doubtful. accepted: None where accepting is
    neither a gain nor a loss, as of a scan that a person must see anyway.
    """

    case: str
    subject: str
    groups: Mapping[str, str]
    dice: float
    counts: Floats | None
    score: float
    accepted: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure over cases. column: what it needs of one case, None when the case has no part in it.

    figure: of the stacked columns, (cases, ...). sign: 1 when more is better, -1 when less is. margin: the largest loss
    that is none. imagined: columns of made-up subjects, (live, challenger), that widen the interval.
    """

    title: str
    column: Callable[[Examined], Floats | float | None]
    figure: Callable[[Floats], float]
    sign: int
    margin: float
    imagined: tuple[tuple[float, float], ...] = ()


def calibration_error(counts: Floats) -> float:
    """Expected calibration error, pooled over cases, mean over structures. counts: (cases, G, bins, 3)."""
    voxels, confidence, outcome = np.moveaxis(counts.sum(axis=0), -1, 0)
    with np.errstate(invalid="ignore"):
        return float(np.nanmean(np.abs(confidence - outcome).sum(axis=1) / voxels.sum(axis=1)))


def _risk(one: Examined) -> Floats | None:
    """Score, a missing one as the largest, and loss."""
    if math.isnan(one.dice):
        return None
    return np.array([math.inf if math.isnan(one.score) else one.score, 1 - one.dice])


MEASURES: Mapping[str, Measure] = {
    "dice": Measure(
        title="Dice",
        column=lambda one: None if math.isnan(one.dice) else one.dice,
        figure=lambda column: float(column.mean()),
        sign=1,
        margin=0.01,
    ),
    "calibration": Measure(
        title="ECE in the boundary band",
        column=lambda one: one.counts,
        figure=calibration_error,
        sign=-1,
        margin=0.01,
    ),
    "augrc": Measure(
        title="AUGRC",
        column=_risk,
        figure=lambda column: augrc(column[:, 0], column[:, 1]),
        sign=-1,
        margin=0.005,  # what a Dice that falls by its margin costs a score that knows nothing
    ),
    "coverage": Measure(
        title="coverage",
        column=lambda one: None if one.accepted is None else float(one.accepted),
        figure=lambda column: float(column.mean()),
        sign=1,
        margin=0.1,
        imagined=((1.0, 0.0), (0.0, 1.0)),
    ),
}
"""What a challenger must not lose. Of coverage, one case more is imagined that only the one model accepts and one that
only the other does: that no case changed sides among a few does not show that none will. Source: Bonett and Price 2012,
J. Educ. Behav. Stat. 37, 479."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One measure in one group. gain: positive when the challenger is better, with its 95 % interval, low to high."""

    group: str
    measure: str
    subjects: int
    live: float
    challenger: float
    gain: float
    low: float
    high: float

    @property
    def standing(self) -> Standing:
        """Worse: a loss beyond the margin that chance does not explain. Better and not worse need enough subjects."""
        margin = MEASURES[self.measure].margin
        if self.gain < -margin and self.high < 0:
            return Standing.WORSE
        if self.subjects < FEWEST_SUBJECTS or not self.low >= -margin:
            return Standing.CANNOT_TELL
        return Standing.BETTER if self.low > 0 else Standing.NOT_WORSE


def differences(
    live: Sequence[Examined], challenger: Sequence[Examined], *, bootstraps: int = BOOTSTRAPS
) -> Iterator[Difference]:
    """Every measure over all cases and over every subgroup of two or more of them that is not all of them."""
    theirs = {one.case: one for one in challenger}
    pairs = [(one, theirs[one.case]) for one in live]
    groups = {ALL: pairs}
    for kind, name in sorted({item for one in live for item in one.groups.items()}):
        members = [pair for pair in pairs if pair[0].groups.get(kind) == name]
        if 1 < len(members) < len(pairs):
            groups[f"{kind}: {name}"] = members
    for group, members in groups.items():
        for measure in MEASURES:
            found = difference(group, measure, members, bootstraps=bootstraps)
            if found is not None:
                yield found


def difference(
    group: str, name: str, pairs: Sequence[tuple[Examined, Examined]], *, bootstraps: int = BOOTSTRAPS
) -> Difference | None:
    """One measure over pairs of (live, challenger) of the same case; None when no case has a part in it."""
    measure = MEASURES[name]
    found = _by_subject(pairs, measure)
    if not found:
        return None
    imagined = [(np.array([one]), np.array([other])) for one, other in measure.imagined]
    low, high = subject_interval([*found, *imagined], lambda drawn: _gain(drawn, measure), n=bootstraps)
    live, challenger = (measure.figure(np.concatenate(side)) for side in zip(*found, strict=True))
    return Difference(
        group=group,
        measure=name,
        subjects=len(found),
        live=live,
        challenger=challenger,
        gain=measure.sign * (challenger - live),
        low=low,
        high=high,
    )


def _by_subject(pairs: Sequence[tuple[Examined, Examined]], measure: Measure) -> list[tuple[Floats, Floats]]:
    """The columns of every subject that has a part in the measure, (cases of the subject, ...) of either model."""
    columns: dict[str, list[tuple[Floats | float, Floats | float]]] = {}
    for one, other in pairs:
        mine, theirs = measure.column(one), measure.column(other)
        if mine is not None and theirs is not None:
            columns.setdefault(one.subject, []).append((mine, theirs))
    return [(np.stack([a for a, _ in cases]), np.stack([b for _, b in cases])) for cases in columns.values()]


def _gain(subjects: Sequence[tuple[Floats, Floats]], measure: Measure) -> float:
    live, challenger = (measure.figure(np.concatenate(side)) for side in zip(*subjects, strict=True))
    return measure.sign * (challenger - live)
