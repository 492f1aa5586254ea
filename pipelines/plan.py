"""What a limit costs in reading time: the loosest limit that keeps the risk, and who waits how long under it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.promises import CurvePoint, Promises
from triage.capacity import Team, mean_waits, reviewers_needed
from triage.errors import TriageError

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
