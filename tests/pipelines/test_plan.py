"""The plan of a reading room: the limit that keeps the risk, the waits under it, and honest refusals."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from models.bundle import seal
from pipelines.bundles import keep, open_history
from pipelines.cli import main
from pipelines.plan import CLASSES, Workload, make_plan, workload
from pipelines.plan_text import as_text
from pipelines.promises import CurvePoint, Promises, read_promises
from pipelines.settings import SHIPPED_BUNDLE, Settings
from triage.capacity import Team, mean_waits
from triage.errors import TriageError
from triage.gate.operating_point import FILE


def point(score_limit: float, accepted: int, upper_bound: float) -> CurvePoint:
    return CurvePoint(score_limit=score_limit, n=100, accepted=accepted, failures=0, upper_bound=upper_bound)


CURVE = (point(0.2, 60, 0.05), point(0.5, 80, 0.08), point(0.8, 90, 0.2), point(0.9, 95, 0.09))
CERTIFIED = Promises(risk=0.1, confidence=0.95, curve=CURVE)
PROVISIONAL = Promises(risk=math.nan, confidence=math.nan, curve=())


def a_site(an_hour: float = 30.0, flagged: float | None = None, reviewers: int = 2, blind: float = 0.0) -> Workload:
    return Workload(arrivals_an_hour=an_hour, team=Team(reviewers=reviewers, minutes=6.0), blind=blind, flagged=flagged)


def test_the_limit_is_the_last_that_keeps_the_risk_before_the_first_that_does_not():
    plan = make_plan(a_site(), CERTIFIED, risk=None)

    assert plan.point is CURVE[1]  # the last of the curve keeps it too, but comes after one that does not
    assert plan.flagged == pytest.approx(0.2)


def test_a_smaller_risk_takes_a_stricter_limit_and_more_reading():
    strict, loose = make_plan(a_site(), CERTIFIED, risk=0.05), make_plan(a_site(), CERTIFIED, risk=0.08)

    assert strict.point is CURVE[0]
    assert strict.read_an_hour > loose.read_an_hour


def test_when_no_limit_keeps_the_risk_every_case_goes_to_a_human():
    plan = make_plan(a_site(an_hour=12.0, flagged=0.3), CERTIFIED, risk=0.01)

    assert plan.point is None
    assert plan.flagged == 1
    assert "every case goes to a human" in as_text(plan)


def test_blind_checks_of_the_accepted_are_read_too():
    plan = make_plan(a_site(an_hour=10.0, flagged=0.4, blind=0.1), PROVISIONAL, risk=None)

    assert plan.read_an_hour == pytest.approx(10 * (0.4 + 0.1 * 0.6))


def test_waits_are_those_of_thirds_of_the_queue():
    plan = make_plan(a_site(an_hour=40.0, flagged=0.3), PROVISIONAL, risk=None)

    assert tuple(plan.waits.values()) == mean_waits([4.0, 4.0, 4.0], Team(reviewers=2, minutes=6.0))
    assert tuple(plan.waits) == CLASSES


def test_at_the_largest_share_that_can_be_read_the_team_is_always_busy():
    plan = make_plan(a_site(an_hour=40.0, flagged=0.3, blind=0.02), PROVISIONAL, risk=None)

    with pytest.raises(TriageError, match="grow for ever"):
        make_plan(a_site(an_hour=40.0, flagged=plan.flagged_at_most + 1e-6, blind=0.02), PROVISIONAL, risk=None)
    assert make_plan(
        a_site(an_hour=40.0, flagged=plan.flagged_at_most - 1e-6, blind=0.02), PROVISIONAL, risk=None
    ).utilisation == pytest.approx(1, abs=1e-4)


def test_a_queue_that_would_grow_for_ever_is_refused_with_the_reviewers_that_would_do():
    with pytest.raises(TriageError, match="At least 6 reviewers"):
        make_plan(a_site(an_hour=60.0, flagged=0.9), PROVISIONAL, risk=None)

    assert make_plan(a_site(an_hour=60.0, flagged=0.9, reviewers=6), PROVISIONAL, risk=None).utilisation < 1


def test_an_operating_point_without_a_curve_promises_nothing_and_says_so():
    with pytest.raises(TriageError, match="no risk can be promised"):
        make_plan(a_site(), PROVISIONAL, risk=0.05)

    assert "no risk is promised" in as_text(make_plan(a_site(flagged=0.3), PROVISIONAL, risk=0.05))


def test_the_plan_says_what_it_assumes_who_is_delayed_and_what_a_flag_is_not():
    text = as_text(make_plan(a_site(), CERTIFIED, risk=None))

    for said in ("Poisson", "exponential", "Who is delayed", "not that the patient is urgent", "95 % interval"):
        assert said in text


@pytest.mark.parametrize(("given", "an_hour"), [("60/day", 7.5), ("7.5/hour", 7.5), (" 24 / day", 3.0)])
def test_arrivals_are_given_by_the_day_or_by_the_hour(given, an_hour):
    site = workload(given, 8.0, reviewers=1, minutes=5.0, blind=0.02, flagged=None)

    assert site.arrivals_an_hour == pytest.approx(an_hour)


@pytest.mark.parametrize("given", ["60", "60/week", "many/day", "-3/hour", "nan/day", "0/day", "inf/hour"])
def test_arrivals_that_are_not_understood_are_refused(given):
    with pytest.raises(TriageError, match=r"60/day or 7\.5/hour"):
        workload(given, 8.0, reviewers=1, minutes=5.0, blind=0.02, flagged=None)


def test_the_command_reads_the_curve_of_a_bundle_and_prints_one_json_object(tmp_path: Path, capsys):
    rows = [
        {"score_limit": p.score_limit, "n": p.n, "accepted": p.accepted, "failures": 0, "upper_bound": p.upper_bound}
        for p in reversed(CURVE)
    ]
    evaluation = {"risk": 0.1, "confidence": 0.95, "curve": rows, "signals": {"worst_patch": [0.1, 0.3]}}
    written = {"version": 2, "evaluation": evaluation}
    (tmp_path / "operating_point.json").write_text(json.dumps(written))

    status = main(
        ["plan", "--arrivals", "60/day", "--reviewers", "2", "--minutes", "6", "--bundle", str(tmp_path), "--json"]
    )

    printed = json.loads(capsys.readouterr().out)
    assert status == 0
    assert read_promises(tmp_path) == replace(CERTIFIED, signals={"worst_patch": (0.1, 0.3)})
    assert (printed["score_limit"], printed["risk"]) == (0.5, 0.1)


@pytest.mark.parametrize(
    ("risk", "words"), [(None, "The gate uses it."), (0.05, "It takes effect only in a bundle calibrated at this risk")]
)
def test_a_limit_that_the_gate_does_not_have_is_said_to_take_a_calibration(risk, words):
    promised = replace(CERTIFIED, curve=(point(0.5, 60, 0.05), point(1.0, 80, 0.08)))

    assert words in as_text(make_plan(a_site(), promised, risk=risk))


def test_without_a_bundle_the_live_one_is_planned_for_and_without_any_run_the_shipped_one(tmp_path: Path, capsys):
    def planned() -> float:
        words = ("plan", "--arrivals", "1/hour", "--reviewers", "2", "--minutes", "6", "--json")
        assert main([*words, "--out", str(tmp_path / "out")]) == 0
        return json.loads(capsys.readouterr().out)["risk"]

    assert planned() == read_promises(SHIPPED_BUNDLE).risk
    assert not list(tmp_path.iterdir())

    settings = Settings(out=tmp_path / "out")
    other = shutil.copytree(SHIPPED_BUNDLE, tmp_path / "other")
    written = json.loads((other / FILE).read_text())
    written["evaluation"]["risk"] = 0.45
    (other / FILE).write_text(json.dumps(written))
    seal(other)
    with open_history(settings) as history:
        history.go_live(keep(other, settings), by="olga", because="Other limits.")

    assert planned() == 0.45


def test_a_bundle_whose_certification_was_refused_sends_everything_to_a_human():
    refused = Promises(risk=math.nan, confidence=0.95, curve=CURVE[2:3])

    plan = make_plan(a_site(an_hour=12.0), refused, risk=None)

    assert plan.flagged == 1
    assert "none is certified; every case goes to a human" in as_text(plan)
