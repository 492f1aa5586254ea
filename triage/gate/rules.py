"""The gate: signals against their limits, fails closed. Every flag carries its parts, its place and what to do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triage.case import Case, RefusedInput
from triage.findings import NOT_ASSESSABLE, findings, most_like
from triage.gate.interpretation import interpret, place_at
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.signals import SIGNALS, Evidence
from triage.verdict import Place, Prediction, Reason, Route, SignalReading, Verdict

WORTH_NAMING = 0.2
"""A signal that makes up at least this share of the score limit is named as a reason of a flagged case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How a signal is called, what a large value means, and what to do then."""

    title: str
    meaning: str
    action: str


WORDING: Mapping[str, Wording] = {
    "boundary_entropy": Wording(
        title="Unclear borders",
        meaning="The borders between tissues are unclear all over the brain, as with motion, noise or blur.",
        action="Look for motion and noise; rescan, or choose another series.",
    ),
    "interior_entropy": Wording(
        title="Unclear tissue",
        meaning="The model is unsure inside tissues, away from any border.",
        action="Check the contrast of the series and look for abnormal tissue.",
    ),
    "worst_patch": Wording(
        title="Worst spot",
        meaning="One place is far less clear than such places usually are.",
        action="Look at the place shown and edit the segmentation there.",
    ),
    "sample_disagreement": Wording(
        title="Samples disagree",
        meaning="Posterior samples of the model segment this brain differently.",
        action="Have a second reader check the segmentation.",
    ),
    "volume_spread": Wording(
        title="Uncertain volume",
        meaning="The volume of a structure varies much between posterior samples.",
        action="Do not use the volumes before the segmentation is checked.",
    ),
    "prior_conflict": Wording(
        title="Anatomy does not fit",
        meaning="The segmentation agrees poorly with anatomy: a failed registration, upside down, or not a brain.",
        action="Check that the series shows a whole brain, the right way up.",
    ),
    "focal_conflict": Wording(
        title="Local anatomy",
        meaning="One place differs from known anatomy, as with a lesion, surgery or a segmentation error.",
        action="Look at the place shown for an abnormality.",
    ),
    "feature_density": Wording(
        title="Unlike training",
        meaning="The image is unlike those that the model was trained on.",
        action="Check contrast, scanner and protocol; choose another series.",
    ),
    "input_quality": Wording(
        title="Input quality",
        meaning="The brain is cut off by the field of view, the slices are thick, or the image is noisy.",
        action="Check the coverage of the brain; rescan, or choose another series.",
    ),
    "finding_entropy": Wording(
        title="Unclear pattern",
        meaning="It is unclear whether the brain looks normal, or which abnormal pattern it resembles.",
        action="Read the images for an abnormality; the pattern shown is for research only.",
    ),
}


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
        readings = tuple(r for name in SIGNALS if (r := _reading(name, evidence, point)) is not None)
        score = sum(r.part for r in readings)
        within = score <= point.score_limit  # NaN is not within any limit
        reasons = (*_outside(case, prediction, point), *(() if within else _reasons(readings, point)))
        return Verdict(
            route=Route.HUMAN_REVIEW if reasons else Route.ACCEPTED,
            score=score,
            limit=point.score_limit,
            signals=readings,
            reasons=reasons,
            action=reasons[0].action if reasons else "",
            place=_place(evidence, readings),
            promise=point.promise,
            interpretation=interpret(evidence) if reasons and evidence.brain.any() else None,
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


def _reading(name: str, evidence: Evidence, point: OperatingPoint) -> SignalReading | None:
    """None for a signal that the bundle neither limits nor gives; one with a value and no limit never passes."""
    value = SIGNALS[name](evidence)
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


def _reasons(readings: tuple[SignalReading, ...], point: OperatingPoint) -> tuple[Reason, ...]:
    """The signals worth naming, worst first; at least one. A part that is not a number comes first."""
    order = sorted(readings, key=lambda r: -math.inf if math.isnan(r.part) else -r.part)
    named = [r for r in order if not r.part < WORTH_NAMING * point.score_limit] or order[:1]
    return tuple(
        Reason(
            signal=r.name,
            text=WORDING[r.name].meaning if not math.isnan(r.part) else "This signal could not be computed.",
            value=r.value,
            limit=r.limit,
            part=r.part,
            action=WORDING[r.name].action,
        )
        for r in named
    )


def _outside(case: Case, prediction: Prediction, point: OperatingPoint) -> tuple[Reason, ...]:
    """Reasons that stand outside the score: the case is not of the population that the limits speak for."""
    series = case.structural
    reasons = []
    if series.weighting not in point.weightings or series.contrast_agent:
        known = ", ".join(sorted(point.weightings))
        seen = f"{series.weighting}{' with contrast agent' if series.contrast_agent else ''}"
        reasons.append(_rule("contrast", f"The limits were set for {known}; this is {seen}."))
    if series.age_years is not None and not series.age_years >= point.youngest_years:
        reasons.append(_rule("age", f"The limits were set for ages from {point.youngest_years:g} years."))
    likely = most_like(findings(prediction.finding_samples))
    if likely is not None and likely.key == NOT_ASSESSABLE.key:
        reasons.append(_rule(likely.key, "The scan looks most like one that cannot be assessed."))
    return tuple(reasons)


def _rule(name: str, text: str) -> Reason:
    action = "Have a reader check it: no limit holds for such a scan."
    return Reason(signal=name, text=text, value=math.nan, limit=math.nan, part=0.0, action=action)


def _place(evidence: Evidence, readings: tuple[SignalReading, ...]) -> Place | None:
    """The worst patch of the conflict when that drives the doubt, else of the entropy. None without a brain."""
    if not evidence.brain.any():
        return None
    part = {r.name: r.part for r in readings}
    focal = part["focal_conflict"] > part["worst_patch"]
    index = evidence.worst(evidence.conflict_patches if focal else evidence.excess_patches)
    return place_at(evidence.prediction, index)
