"""A plan in words, for those who run a reading room."""

import math
from collections.abc import Iterator
from typing import Any

from pipelines.plan import Plan

ASSUMES = (
    "Assumed: cases arrive by chance at a steady rate over the working hours (Poisson), readings take exponential "
    "times of one mean whatever the doubt, and a reading that has begun is finished. Waits count working hours.",
    "A flag means that the model is unsure, not that the patient is urgent: bring urgent cases forward by hand.",
)

IN_USE = 1.0
"""The limit of a calibrated gate, in the unit of its score."""
TAKES_EFFECT = (
    "It takes effect only in a bundle calibrated at this risk: `brain-triage calibrate --risk {risk:g}`, then "
    "`challenge` and `promote`."
)


def as_text(plan: Plan) -> str:
    """The whole plan, a paragraph a line."""
    return "\n".join(_lines(plan))


def as_json(plan: Plan) -> dict[str, Any]:
    """The same for programs; what is infinite or unknown is null."""
    point, workload = plan.point, plan.workload
    return {
        "schema": "brain-triage/plan/1",
        "arrivals_an_hour": workload.arrivals_an_hour,
        "reviewers": workload.team.reviewers,
        "minutes": workload.team.minutes,
        "blind": workload.blind,
        "risk": None if plan.risk is None else _known(plan.risk),
        "confidence": _known(plan.confidence),
        "score_limit": point.score_limit if point else None,
        "flagged": plan.flagged,
        "flagged_at_most": plan.flagged_at_most,
        "read_an_hour": plan.read_an_hour,
        "utilisation": plan.utilisation,
        "wait_minutes": dict(plan.waits),
        "wait_in_order_of_arrival_minutes": plan.wait_in_order_of_arrival,
        "wait_without_gate_minutes": _known(plan.wait_without_gate),
        "assumes": list(ASSUMES),
    }


def minutes(value: float) -> str:
    """A wait as one says it."""
    if value >= 60:
        return f"{value / 60:.1f} h"
    if value < 1:
        return f"{60 * value:.0f} s"
    return f"{value:.0f} min" if value >= 10 else f"{value:.1f} min"


def _lines(plan: Plan) -> Iterator[str]:
    team = plan.workload.team
    yield _limit(plan)
    yield _share(plan)
    yield (
        f"To read: {plan.read_an_hour:.2g} cases an hour, blind checks of {plan.workload.blind:.0%} of the accepted "
        f"among them. {team.reviewers} reviewer(s) at {team.minutes:g} min each are busy {plan.utilisation:.0%} of the "
        f"time. Their queue stays finite up to {plan.flagged_at_most:.0%} flagged."
    )
    yield "Mean wait before a reading begins, the most doubtful case first:"
    for name, wait in plan.waits.items():
        change = wait - plan.wait_in_order_of_arrival
        than = f"{minutes(abs(change))} {'less' if change < 0 else 'more'} than in order of arrival"
        yield f"  {name:<22} {minutes(wait):>8}   {than}"
    yield _without_gate(plan.wait_without_gate)
    yield "Who is delayed: the least doubtful of what is flagged, whatever is wrong with the patient."
    yield from ASSUMES


def _limit(plan: Plan) -> str:
    point, risk = plan.point, plan.risk
    if risk is None:
        return "Limit: none is certified, so no risk is promised; planned by coverage alone."
    if point is None:
        kept = "is certified" if math.isnan(risk) else f"keeps the risk of {risk:.3g}"
        return f"Limit: none {kept}; every case goes to a human."
    return (
        f"Limit: a score of {point.score_limit:.4g}. Of {point.n} calibration cases it accepted {point.accepted}, of "
        f"which {point.failures} failed: with confidence {plan.confidence:.0%} at most {point.upper_bound:.1%} of the "
        f"accepted fail, {risk:.3g} was asked for. Chosen among limits fixed beforehand, for this risk alone. "
        + ("The gate uses it." if point.score_limit == IN_USE else TAKES_EFFECT.format(risk=risk))
    )


def _share(plan: Plan) -> str:
    if plan.point is None or plan.workload.flagged is not None:
        return f"Flagged: {plan.flagged:.0%} of cases."
    low, high = plan.point.flagged_interval
    worse = "" if high <= plan.flagged_at_most else " At its upper end the queue would grow for ever."
    return (
        f"Flagged: {plan.flagged:.0%} of the calibration cases (95 % interval {low:.0%} to {high:.0%}); measure it on "
        f"your own cases and give it as --flagged.{worse}"
    )


def _without_gate(wait: float) -> str:
    if math.isinf(wait):
        return "Were every case read, the queue would grow for ever; accepted cases do not wait."
    return f"Were every case read, each would wait {minutes(wait)} on average; accepted cases do not wait."


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
