"""Builders of believable verdicts and reports, as `tests.builders` has the cases and predictions that they are of."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.builders import a_case, a_prediction, a_refused_input, a_volume
from tests.phantoms import LESION_ELLIPSOID, SHAPE, centred_affine
from triage.case import Case, RefusedInput
from triage.gate.rules import refuse
from triage.prediction import Prediction
from triage.verdict import (
    BundleId,
    EntropyShare,
    Interpretation,
    Place,
    Reason,
    Report,
    Route,
    Side,
    SignalReading,
    Spot,
    Verdict,
)

PROMISE = "With 95 % confidence at most 10 % of the accepted cases are bad (29 accepted calibration cases, 0 bad)."
BUNDLE = BundleId(name="brain-triage-shipped", version="1.0.0", digest=hashlib.sha256(b"bundle").hexdigest())

_TITLES: Mapping[str, str] = {
    "boundary_entropy": "Entropy along boundaries",
    "interior_entropy": "Entropy away from boundaries",
    "worst_patch": "Entropy of the worst 10 mm patch",
    "sample_disagreement": "Disagreement of posterior samples",
    "volume_spread": "Spread of structure volumes",
    "prior_conflict": "Conflict with anatomy",
    "feature_density": "Distance from training images",
    "input_quality": "Input quality",
}


def signal_readings(
    parts: Sequence[float] = (0.05, 0.02, 0.08, 0.04, 0.03, 0.02, 0.01, 0.0),
) -> tuple[SignalReading, ...]:
    """Eight signals whose parts are the ones given."""
    return tuple(
        SignalReading(name=name, title=title, value=4 * part, limit=0.6, part=part)
        for (name, title), part in zip(_TITLES.items(), parts, strict=True)
    )


def a_place() -> Place:
    """The middle of the phantom's lesion, on the grids of `a_prediction` and `a_volume`."""
    _, centre, _ = LESION_ELLIPSOID
    conformed = tuple(round((c + 1) / 2 * (n - 1)) for c, n in zip(centre, SHAPE, strict=True))
    ras = centred_affine(SHAPE) @ (*conformed, 1)
    scanner = np.rint(np.linalg.inv(a_volume().affine) @ ras).astype(int)
    i, j, k = conformed
    return Place(
        conformed=(i, j, k),
        scanner=(int(scanner[0]), int(scanner[1]), int(scanner[2])),
        ras_mm=(float(ras[0]), float(ras[1]), float(ras[2])),
        structure="Lesion",
    )


def an_interpretation() -> Interpretation:
    """Doubt that lies in the lesion on the right, and some in the cortex of both sides."""
    return Interpretation(
        shares=(
            EntropyShare(structure="Lesion", side=Side.RIGHT, share=0.62, of_brain=0.01),
            EntropyShare(structure="Cortical grey matter", side=Side.BOTH, share=0.3, of_brain=0.43),
            EntropyShare(structure="Third and fourth ventricle", side=Side.MIDLINE, share=0.08, of_brain=0.002),
        ),
        spots=(
            Spot(place=a_place(), side=Side.RIGHT, nats=0.61, ml=4.2),
            Spot(
                place=replace(
                    a_place(), conformed=(20, 40, 30), ras_mm=(-11.5, 2.5, -1.5), structure="Deep grey matter"
                ),
                side=Side.LEFT,
                nats=0.2,
                ml=1.0,
            ),
        ),
        misfit=0.02,
        slices=(40, 52),
    )


def an_accepted_verdict(**changes: Any) -> Verdict:
    signals = signal_readings()
    verdict = Verdict(
        route=Route.ACCEPTED,
        score=math.fsum(s.part for s in signals),
        limit=1.0,
        signals=signals,
        reasons=(),
        action="Use the measurements.",
        place=a_place(),
        promise=PROMISE,
    )
    return replace(verdict, **changes)


def a_flagged_verdict(**changes: Any) -> Verdict:
    signals = signal_readings((0.12, 0.10, 0.62, 0.21, 0.18, 0.35, 0.06, 0.02))
    verdict = Verdict(
        route=Route.HUMAN_REVIEW,
        score=math.fsum(s.part for s in signals),
        limit=1.0,
        signals=signals,
        reasons=(
            Reason(
                signal="worst_patch",
                text="The 10 mm around the lesion are far less certain than is usual at that depth.",
                value=2.48,
                limit=0.6,
                part=0.62,
                action="Look at the right frontal white matter: confirm or redraw the lesion.",
            ),
            Reason(
                signal="prior_conflict",
                text="The segmentation disagrees with where anatomy expects white matter.",
                value=1.4,
                limit=0.6,
                part=0.35,
                action="Compare the segmentation with the image in the right frontal lobe.",
            ),
        ),
        action="Look at the right frontal white matter: confirm or redraw the lesion.",
        place=a_place(),
        promise=PROMISE,
        interpretation=an_interpretation(),
    )
    return replace(verdict, **changes)


def a_refused_verdict(refused: RefusedInput) -> Verdict:
    return replace(refuse(refused), promise=PROMISE)


def an_accepted_report(case: Case | None = None, prediction: Prediction | None = None, **changes: Any) -> Report:
    report = Report(
        case=case or a_case(),
        verdict=an_accepted_verdict(),
        bundle=BUNDLE,
        volume=a_volume(),
        prediction=prediction or a_prediction(),
    )
    return replace(report, **changes)


def a_flagged_report(case: Case | None = None, prediction: Prediction | None = None, **changes: Any) -> Report:
    report = an_accepted_report(case or a_case("case-c4d10e88"), prediction)
    return replace(report, **{"verdict": a_flagged_verdict(), **changes})


def a_refused_report(refused: RefusedInput | None = None) -> Report:
    refused = refused or a_refused_input()
    return Report(case=refused, verdict=a_refused_verdict(refused), bundle=BUNDLE)
