"""The gate: signals against their limits, fails closed. Every flag carries its parts, its place and what to do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from triage.case import Case, RefusedInput
from triage.findings import NOT_ASSESSABLE, findings, most_like
from triage.gate.interpretation import interpret, is_global, place_at, reached_slices, worth_editing
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.signals import SIGNALS, Evidence, Patches, shortcomings
from triage.gate.wording import NO_BRAIN, NOT_CERTIFIED, NOT_COMPUTED, SHORTCOMINGS, TOO_MUCH_TO_EDIT, WORDING, Action
from triage.prediction import Prediction
from triage.verdict import Reason, Route, SignalReading, Verdict

WORTH_NAMING = 0.2
"""A signal that makes up at least this share of the score limit is named as a reason of a flagged case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdGate:
    """Accepts a case of the stated population whose score is within its limit; everything else goes to a human."""

    operating_point: OperatingPoint

    @property
    def promise(self) -> str:
        """What an accepted case is promised to be, in a reader's words."""
        return self.operating_point.promise

    def decide(self, case: Case, prediction: Prediction) -> Verdict:
        """Signals, parts, score, route. A signal or score that is not a number never passes."""
        point = self.operating_point
        evidence = Evidence(prediction=prediction, usual_entropy=point.usual_entropy)
        readings = readings_of({name: signal(evidence) for name, signal in SIGNALS.items()}, point)
        score = sum(r.part for r in readings)
        within = score <= point.score_limit  # NaN is not within any limit
        patches = _driving_patches(evidence, readings)
        reasons = (
            *_outside(case, evidence, point),
            *(() if within else _reasons(readings, point, evidence)),
            *(() if point.accepts else (_rule("not_certified", NOT_CERTIFIED, Action.SECOND_READER),)),
        )
        return Verdict(
            route=Route.HUMAN_REVIEW if reasons else Route.ACCEPTED,
            score=score,
            limit=point.score_limit,
            signals=readings,
            reasons=reasons,
            action=reasons[0].action if reasons else "",
            place=place_at(prediction, evidence.worst(patches)) if evidence.brain.any() else None,
            promise=point.promise_for(case.structural),
            interpretation=interpret(evidence, patches) if reasons and evidence.brain.any() else None,
        )


def load_gate(bundle_folder: Path) -> ThresholdGate:
    """The gate of a bundle. Raises TriageError when its operating point cannot be used."""
    return ThresholdGate(operating_point=read_operating_point(bundle_folder / FILE))


def refuse(refused: RefusedInput) -> Verdict:
    """An input that could not be read goes to a human with its code; it has no score."""
    reason = Reason(
        signal=str(refused.code), text=refused.message, value=math.nan, limit=math.nan, part=0.0, action=refused.do
    )
    return Verdict(
        route=Route.REFUSED,
        score=math.nan,
        limit=math.nan,
        signals=(),
        reasons=(reason,),
        action=refused.do,
        place=None,
        promise="",
    )


def readings_of(values: Mapping[str, float], point: OperatingPoint) -> tuple[SignalReading, ...]:
    """The signals with their parts, which sum to the score. values: by name in SIGNALS, in their order."""
    return tuple(r for name, value in values.items() if (r := _reading(name, value, point)) is not None)


def named(readings: tuple[SignalReading, ...], point: OperatingPoint, *, everywhere: bool) -> tuple[SignalReading, ...]:
    """Those worth naming as reasons, worst first; at least one. A part that is not a number comes first.

    everywhere: see `is_global`. Then the place where anatomy fits worst is no reason of its own: its part is told with
    that of the whole.
    """
    if everywhere:
        local = sum(r.part for r in readings if r.name == "focal_conflict")
        told = (replace(r, part=r.part + local) if r.name == "prior_conflict" else r for r in readings)
        readings = tuple(r for r in told if r.name != "focal_conflict")
    order = sorted(readings, key=lambda r: -math.inf if math.isnan(r.part) else -r.part)
    return tuple(r for r in order if not r.part < WORTH_NAMING * point.score_limit) or tuple(order[:1])


def suggest(name: str, evidence: Evidence) -> str:
    """What to do when this signal is a reason. Slices are edited where few of them hold the doubt."""
    action, how = WORDING[name].action, WORDING[name].how
    if action is not Action.EDIT_SLICES:
        return f"{action}: {how}"
    focal = name == "focal_conflict"
    slices = reached_slices(evidence, evidence.conflict_patches if focal else evidence.excess_patches)
    if slices and worth_editing(evidence, slices):
        return f"{action} {slices[0] + 1} to {slices[1] + 1}: {how}"
    return f"{Action.SECOND_READER}: {TOO_MUCH_TO_EDIT}"


def _reading(name: str, value: float, point: OperatingPoint) -> SignalReading | None:
    """None for a signal that the bundle neither limits nor gives; one with a value and no limit never passes."""
    limit = point.limits.get(name)
    if limit is None and math.isnan(value):
        return None
    return SignalReading(
        name=name,
        title=WORDING[name].title,
        value=value,
        limit=limit.limit if limit else math.nan,
        part=limit.part(value) if limit else math.nan,
    )


def _reasons(readings: tuple[SignalReading, ...], point: OperatingPoint, evidence: Evidence) -> tuple[Reason, ...]:
    return tuple(
        Reason(
            signal=r.name,
            text=_meaning(r, evidence),
            value=r.value,
            limit=r.limit,
            part=r.part,
            action=suggest(r.name, evidence),
        )
        for r in named(readings, point, everywhere=is_global(evidence))
    )


def _meaning(reading: SignalReading, evidence: Evidence) -> str:
    """What the value means, as precisely as the evidence tells."""
    if math.isnan(reading.part):
        return NOT_COMPUTED
    if reading.name == "input_quality":
        found = shortcomings(evidence.prediction.quality)
        return SHORTCOMINGS[max(found, key=found.__getitem__)]
    return WORDING[reading.name].meaning


def _outside(case: Case, evidence: Evidence, point: OperatingPoint) -> tuple[Reason, ...]:
    """Reasons that stand outside the score: the case is not of the population that the limits speak for."""
    series = case.structural
    reasons = [] if evidence.brain.any() else [_rule("no_brain", NO_BRAIN, Action.OTHER_SERIES)]
    if series.weighting not in point.weightings or series.contrast_agent:
        known = ", ".join(sorted(point.weightings))
        seen = f"{series.weighting}{' with contrast agent' if series.contrast_agent else ''}"
        reasons.append(_rule("contrast", f"The limits were set for {known}; this is {seen}.", Action.OTHER_SERIES))
    if not point.speaks_for(series.age_years):
        reasons.append(_rule("age", f"The limits were set for ages {point.ages}.", Action.SECOND_READER))
    likely = most_like(findings(evidence.prediction.finding_samples))
    if likely is not None and likely.key == NOT_ASSESSABLE.key:
        reasons.append(_rule(likely.key, "The scan looks most like one that cannot be assessed.", Action.RESCAN))
    return tuple(reasons)


def _rule(name: str, text: str, action: Action) -> Reason:
    how = "no limit holds for such a scan."
    return Reason(signal=name, text=text, value=math.nan, limit=math.nan, part=0.0, action=f"{action}: {how}")


def _driving_patches(evidence: Evidence, readings: tuple[SignalReading, ...]) -> Patches:
    """Those of the conflict when that drives the doubt, else of the entropy: the worst of them is the place shown."""
    part = {r.name: r.part for r in readings}
    focal = part["focal_conflict"] > part["worst_patch"]
    return evidence.conflict_patches if focal else evidence.excess_patches
