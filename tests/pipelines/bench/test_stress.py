"""The stress page: rows judged again are as the gate judged them, and no accepted failure is left out."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.bench import stress_text
from pipelines.bench.stress_rows import Row, _scored_row, judged
from pipelines.bench.stress_text import LOST, by_certificate, by_itself
from pipelines.failure import DICE, PLAIN, VOLUME, Habit, Measured, failures
from pipelines.kept import finite
from pipelines.mixture import Damage
from pipelines.scans import Scan
from pipelines.scored import Item, Scored
from pipelines.stress import Rung, Subject, refused, rung_of
from tests.builders import a_case, a_volume, finding_samples
from tests.pipelines.rungs import a_ladder, a_rung
from tests.triage.gate.scenes import SHAPE, USUAL, a_gate, a_small_prediction, good_signals
from triage.case import Volume
from triage.errors import Code, Refusal
from triage.gate.operating_point import Limit
from triage.gate.rules import suggest
from triage.gate.signals import SIGNALS, Evidence
from triage.prediction import Prediction
from triage.verdict import Route

PREDICTIONS: dict[str, dict[str, Any]] = {
    "good": {},
    "bad pose": {"atlas_log_bayes_factor": -5.0},
    "outside the score": {"finding_samples": finding_samples("not_assessable")},
    "both": {"finding_samples": finding_samples("not_assessable"), "feature_distance": 9.0},
    "not a number": {"feature_distance": math.nan},
    "no brain": {"labels": np.zeros(SHAPE, np.uint8)},
}


def a_row(prediction: Prediction, step: tuple[str, int] = ("noise", 3)) -> Row:
    """As it is measured, through JSON."""
    volume = Volume(array=np.zeros(SHAPE, np.float32), affine=prediction.scanner_affine)
    subject = Subject(case=a_case("one"), volume=volume, classes=prediction.scanner_labels)
    evidence = Evidence(prediction=prediction, usual_entropy=USUAL)
    row = {
        "rung": asdict(rung_of(subject, step, prediction, a_gate())),
        "suggestions": {name: suggest(name, evidence) for name in SIGNALS},
    }
    return dict(json.loads(json.dumps(finite(row), allow_nan=False)))


def same(value: Any) -> Any:
    """What is no number is equal to itself here."""
    return json.dumps(value, default=str)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_judged_again_by_the_same_operating_point_a_row_is_as_the_gate_judged_it(name: str) -> None:
    changes = dict(PREDICTIONS[name])
    prediction = a_small_prediction(changes.pop("labels", None), **changes)
    verdict = a_gate().decide(a_case("one"), prediction)

    again = judged(a_row(prediction), a_gate().operating_point)

    assert (again.route, again.action, again.limit) == (verdict.route, verdict.action, verdict.limit)
    assert again.reasons == tuple(reason.signal for reason in verdict.reasons)
    assert same(again.score) == same(verdict.score)


def test_another_operating_point_judges_by_the_signals_as_measured() -> None:
    row = a_row(a_small_prediction(feature_distance=9.0))
    point = a_gate().operating_point
    lenient = {**point.limits, "feature_density": Limit(typical=100, limit=200)}

    assert judged(row, point).reasons == ("feature_density",)
    assert judged(row, replace(point, limits=lenient)).accepted


def test_a_refused_image_stays_refused_whatever_the_operating_point() -> None:
    subject = Subject(case=a_case("one"), volume=a_volume(), classes=np.zeros(SHAPE, np.uint8))
    rung = refused(subject, ("cropping", 5), Refusal(Code.COVERAGE, "No head.", do="Send another."))
    row = {"rung": json.loads(json.dumps(finite(asdict(rung)))), "suggestions": {}}

    assert judged(row, a_gate().operating_point).route is Route.REFUSED


@pytest.mark.parametrize(
    ("undamaged", "damaged", "fails"),
    [
        (0.9, DICE + 0.01, False),
        (0.9, DICE - 0.01, True),
        (0.7, 0.7 - LOST + 0.01, False),  # what these labels never gave is no failure of the damage
        (0.7, 0.7 - LOST - 0.01, True),
        (0.9, math.nan, True),
    ],
)
def test_a_step_fails_by_the_dice_of_a_structure(undamaged: float, damaged: float, fails: bool) -> None:
    assert bool(by_itself(a_rung("noise", 1, dice=damaged), a_rung(dice=undamaged))) is fails


@pytest.mark.parametrize(("ratio", "fails"), [(1.2 * (1 + VOLUME) - 0.01, False), (1.2 * (1 - VOLUME) - 0.01, True)])
def test_a_step_fails_by_a_volume_against_that_of_the_scan_as_it_is(ratio: float, fails: bool) -> None:
    clean = a_rung()
    clean = replace(clean, volume_ratio=dict.fromkeys(clean.dice, 1.2))

    assert bool(by_itself(replace(clean, volume_ratio=dict.fromkeys(clean.dice, ratio)), clean)) is fails


def test_by_the_certificate_a_step_fails_beyond_the_habits_of_its_labels_and_without_any_by_the_plain_limits() -> None:
    rung = a_rung("noise", 1, dice=0.75)
    lenient = {"one": dict.fromkeys(rung.dice, Habit(dice=0.7, ratio=1.0, off=VOLUME))}

    assert not by_certificate(lenient, rung, a_rung())
    assert by_certificate({}, rung, a_rung()) == failures(
        Measured(dice=rung.dice, volume_ratio=rung.volume_ratio), PLAIN
    )
    assert by_certificate({}, rung, a_rung())


def test_accepted_failures_are_counted_by_both_rules_and_listed_with_what_each_says() -> None:
    """These labels are used to less than 0.8, so that only the scan beside itself undamaged has failed by 0.77."""
    rungs = [
        a_rung(),
        a_rung("noise", 1, dice=0.77),
        a_rung("noise", 3, dice=0.5, score=2.0),
        a_rung("motion", 1, dice=0.85),
        a_rung("motion", 3, dice=0.5),
    ]
    habits = {"one": dict.fromkeys(rungs[0].dice, Habit(dice=0.75, ratio=1.0, off=VOLUME))}

    text = stress_text.error(rungs, habits)

    assert "| the certificate | 2 | 1 | 1 (33%) |" in text
    assert "| itself undamaged | 3 | 1 | 2 (67%) |" in text
    assert "| one | noise | 1 | .200 | .770 | - | cortical grey: Dice 0.77, under 0.80" in text
    assert "| one | motion | 3 | .200 | .500 | cortical grey: Dice 0.50, under 0.75" in text
    assert "| one | motion | 1 |" not in text


def test_when_every_failure_was_flagged_the_page_says_so() -> None:
    assert "Error never outran the gate" in stress_text.error([a_rung(), a_rung("noise", 1, dice=0.5, score=2.0)], {})


def test_kinds_whose_doubt_falls_are_named_with_how_often_error_falls_too() -> None:
    ladder = a_ladder(0.2, 2.0, 1.5, 0.5)
    ladder[2] = replace(ladder[2], dice=dict.fromkeys(ladder[2].dice, 0.95))
    rungs: list[Rung] = [*ladder, *a_ladder(0.2, 0.5, kind="motion")[1:]]

    text = stress_text.rises(rungs)

    assert "1 of 2 graded kinds (not for noise)" in text
    assert "stays at every worse level for 1 (not for noise)" in text
    assert "Of 4 steps to the next level doubt falls at 2: at 1 of these Dice rises" in text
    assert "at 1 the flag is lost" in text


def test_other_subjects_are_counted_by_level_whatever_the_kind_and_lesions_are_no_damage() -> None:
    rungs = [
        a_rung(score=0.1),
        a_rung("noise", 3, score=2.0),
        a_rung("motion", 3, score=0.5),
        a_rung("cropping", 3, score=math.nan),
        a_rung("lesion", 3, score=9.0),
    ]

    text = stress_text.by_level(rungs)

    assert "| as it is | 1 | .100 | .100 | 0 (0%) |" in text
    assert "| 3 | 3 | 1.250 | 1.250 | 2 (67%) |" in text


@pytest.mark.parametrize(("like", "route"), [("normal", "accepted"), ("not_assessable", "human_review")])
def test_a_scored_case_is_judged_by_its_signals_and_by_the_rules_outside(like: str, route: str) -> None:
    scan = Scan(name="one", split="tune", finding="", t1=Path(), labels=None, manual=True)
    good = dict(good_signals())
    case = Scored(
        item=Item(scan=scan, damage=Damage(kind="noise", level=2, seed=0)),
        refused="",
        signals=good,
        like=like,
        entropy_by_distance=(),
        baselines={},
        measured=None,
    )

    rung = judged(_scored_row(case), a_gate().operating_point)

    assert (rung.route, rung.kind, rung.level) == (route, "noise", 2)
