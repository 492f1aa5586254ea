"""What a limit costs in reading time: the loosest limit that keeps the risk, and who waits how long under it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from triage.capacity import Team, mean_waits, reviewers_needed
from triage.errors import TriageError
from triage.gate.operating_point import FILE

CLASSES = ("most doubtful third", "middle third", "least doubtful third")
"""Of what waits, blind checks of accepted cases among it. Thirds of one order: their mean waits are exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a site has. arrivals_an_hour: cases, in working hours. blind: share of the accepted that is read as well.

    flagged: share of cases that the gate sends to a human, where the site has measured it.
    """

    arrivals_an_hour: float
    team: Team
    blind: float
    flagged: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One limit of the score on the n calibration cases. upper_bound: of the failure rate among those accepted."""

    score_limit: float
    n: int
    accepted: int
    failures: int
    upper_bound: float

    @property
    def flagged(self) -> float:
        """Share of the calibration cases that it sends to a human."""
        return 1 - self.accepted / self.n

    @property
    def flagged_interval(self) -> tuple[float, float]:
        """95 % interval of that share. Source: Clopper and Pearson 1934, Biometrika 26."""
        interval = binomtest(self.n - self.accepted, self.n).proportion_ci(0.95, method="exact")
        return float(interval.low), float(interval.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """What the operating point of a bundle has certified; no curve when nothing was.

    curve: limits that were fixed beforehand, from strict to loose.
    """

    risk: float
    confidence: float
    curve: tuple[CurvePoint, ...]

    def loosest(self, risk: float) -> CurvePoint | None:
        """The last limit that keeps the risk before the first that does not; None when the strictest does not.

        Source: fixed-sequence testing, Angelopoulos et al. 2021, arXiv:2110.01052, algorithm 1.
        """
        kept = list(takewhile(lambda point: point.upper_bound <= risk, self.curve))
        return kept[-1] if kept else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a limit costs. Waits are mean minutes before a reading begins.

    point: the limit, None when no limit keeps the risk. risk: that is promised of the accepted, None when none is.
    waits: by CLASSES. wait_without_gate: if every case were read, infinite where the team cannot.
    flagged_at_most: the largest share that the team could read.
    """

    workload: Workload
    point: CurvePoint | None
    risk: float | None
    confidence: float
    flagged: float
    read_an_hour: float
    utilisation: float
    waits: Mapping[str, float]
    wait_in_order_of_arrival: float
    wait_without_gate: float
    flagged_at_most: float


def workload(
    arrivals: str, hours_a_day: float, *, reviewers: int, minutes: float, blind: float, flagged: float | None
) -> Workload:
    """What a user gave, checked. arrivals: `60/day` or `7.5/hour`."""
    number, _, unit = arrivals.partition("/")
    try:
        an_hour = float(number) / {"hour": 1.0, "day": hours_a_day}[unit.strip()]
    except (KeyError, ValueError, ZeroDivisionError):
        an_hour = math.nan
    if not 0 < an_hour < math.inf:
        raise TriageError(f"The arrivals {arrivals!r} are not understood.", do="Give 60/day or 7.5/hour.")
    if not (0 < minutes < math.inf and (flagged is None or 0 <= flagged <= 1)):
        raise TriageError("A reading takes minutes, and a share lies between 0 and 1.", do="Correct the numbers.")
    team = Team(reviewers=reviewers, minutes=minutes)
    return Workload(arrivals_an_hour=an_hour, team=team, blind=blind, flagged=flagged)


def read_promises(bundle: Path) -> Promises:
    """The certified curve of a bundle's operating point."""
    try:
        evaluation: Mapping[str, Any] = json.loads((bundle / FILE).read_text()).get("evaluation") or {}
        return Promises(
            risk=float(evaluation.get("risk", math.nan)),
            confidence=float(evaluation.get("confidence", math.nan)),
            curve=tuple(sorted(map(_point, evaluation.get("curve", ())), key=lambda point: point.score_limit)),
        )
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise TriageError(
            f"The bundle's {FILE} cannot be used ({error!r}).", do="Take the bundle from its source again."
        ) from error


def make_plan(workload: Workload, promises: Promises, risk: float | None) -> Plan:
    """The plan for a bundle. Raises TriageError, with the reviewers that would do, when the queue grows for ever."""
    asked = promises.risk if risk is None else risk
    point = promises.loosest(asked)
    flagged = _flagged(workload, promises, point)
    team, arrivals = workload.team, workload.arrivals_an_hour
    read = arrivals * (flagged + workload.blind * (1 - flagged))
    _refuse_unstable(read, team)
    together, thirds = mean_waits([read], team)[0], mean_waits([read / len(CLASSES)] * len(CLASSES), team)
    return Plan(
        workload=workload,
        point=point,
        risk=asked if promises.curve else None,
        confidence=promises.confidence,
        flagged=flagged,
        read_an_hour=read,
        waits=dict(zip(CLASSES, thirds, strict=True)),
        wait_in_order_of_arrival=together,
        utilisation=team.load(read) / team.reviewers,
        wait_without_gate=mean_waits([arrivals], team)[0],
        flagged_at_most=_flagged_at_most(workload),
    )


def _point(row: Mapping[str, Any]) -> CurvePoint:
    return CurvePoint(
        score_limit=float(row["score_limit"]),
        n=int(row["n"]),
        accepted=int(row["accepted"]),
        failures=int(row["failures"]),
        upper_bound=float(row["upper_bound"]),
    )


def _flagged(workload: Workload, promises: Promises, point: CurvePoint | None) -> float:
    """As the site measured it, else as on the calibration cases; everything when no limit keeps the risk."""
    if promises.curve and point is None:
        return 1.0
    if workload.flagged is not None:
        return workload.flagged
    if point is None:
        raise TriageError(
            "The operating point has no certified risk-coverage curve: no risk can be promised.",
            do="Calibrate the bundle (`brain-triage calibrate`), or plan by coverage alone: --flagged 0.3.",
        )
    return point.flagged


def _refuse_unstable(an_hour: float, team: Team) -> None:
    needed = reviewers_needed(an_hour, team.minutes)
    if needed > team.reviewers:
        raise TriageError(
            f"The review queue would grow for ever: {an_hour:.3g} cases an hour come to {team.reviewers} reviewer(s) "
            f"who can read {team.reviewers * 60 / team.minutes:.3g}.",
            do=f"At least {needed} reviewers are needed, or shorter readings, or fewer arrivals.",
        )


def _flagged_at_most(workload: Workload) -> float:
    """Share of flagged cases x at which the team is just busy all the time: x + blind (1 - x) = what they can read."""
    readable = 1 / (workload.team.load(workload.arrivals_an_hour) / workload.team.reviewers)
    if readable >= 1:
        return 1.0
    return max(0.0, (readable - workload.blind) / (1 - workload.blind))
