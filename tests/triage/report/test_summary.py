"""A run is read back from its case folders, whichever process decided them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.builders import a_case, a_refused_input
from tests.triage.report.run_folders import a_run, fill
from tests.verdicts import a_flagged_report, a_flagged_verdict, a_refused_report, an_accepted_report, signal_readings
from triage.errors import Code
from triage.findings import findings
from triage.measurements import measure
from triage.report.as_json import REPORT
from triage.report.summary import load_case, load_cases, reason_titles
from triage.verdict import Verdict


def flagged(score: float) -> Verdict:
    return a_flagged_verdict(score=score, signals=signal_readings((score, 0, 0, 0, 0, 0, 0, 0)))


def test_a_case_read_back_is_the_case_that_was_decided(tmp_path: Path) -> None:
    report = a_flagged_report()
    assert report.prediction is not None
    fill(tmp_path, [report])

    case = load_case(tmp_path / report.case.pseudonym)

    assert case.verdict == report.verdict
    assert case.bundle == report.bundle
    assert tuple(case.measurements.values()) == measure(report.prediction.volumes_mm3)
    assert case.findings == findings(report.prediction.finding_samples)
    assert case.seconds == pytest.approx(math.fsum(report.prediction.timings_s.values()))
    assert case.refusal is None


def test_a_refused_input_read_back_has_its_code_and_what_to_do(tmp_path: Path) -> None:
    refused = a_refused_input(code=Code.SHEAR)
    fill(tmp_path, [a_refused_report(refused)])

    assert load_case(tmp_path / refused.pseudonym).refusal == refused


def test_flagged_cases_come_most_doubtful_first_and_no_number_before_all(tmp_path: Path) -> None:
    scores = {"case-a": 1.2, "case-b": 3.4, "case-c": math.nan, "case-d": 3.4}
    fill(tmp_path, [a_flagged_report(a_case(p), verdict=flagged(score)) for p, score in scores.items()])

    assert [case.pseudonym for case in a_run(tmp_path).flagged] == ["case-c", "case-b", "case-d", "case-a"]


def test_every_case_is_in_exactly_one_of_the_three_lists(tmp_path: Path) -> None:
    fill(tmp_path, [an_accepted_report(), a_flagged_report(), a_refused_report()])

    run = a_run(tmp_path)

    assert [len(group) for group in (run.accepted, run.flagged, run.refused)] == [1, 1, 1]


def test_the_reasons_are_counted_once_a_case(tmp_path: Path) -> None:
    twice = a_flagged_verdict()
    twice = replace(twice, reasons=(twice.reasons[0], twice.reasons[0]))
    fill(tmp_path, [a_flagged_report(a_case("case-a")), a_flagged_report(a_case("case-b"), verdict=twice)])

    assert a_run(tmp_path).flagged_because == [("Entropy of the worst 10 mm patch", 2), ("Conflict with anatomy", 1)]


def test_a_rule_outside_the_score_is_called_by_its_own_name(tmp_path: Path) -> None:
    reason = replace(a_flagged_verdict().reasons[0], signal="age_outside_model_card", part=0.0)
    report = a_flagged_report(verdict=a_flagged_verdict(reasons=(reason,)))
    fill(tmp_path, [report])

    assert reason_titles(load_case(tmp_path / report.case.pseudonym)) == ["Age outside model card"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": "2.0"}', '{"schema_version": null}'])
def test_a_report_that_cannot_be_read_is_named_and_not_lost(content: str, tmp_path: Path) -> None:
    fill(tmp_path, [an_accepted_report()])
    (tmp_path / "case-broken").mkdir()
    (tmp_path / "case-broken" / REPORT).write_text(content)

    cases, unreadable = load_cases(tmp_path)

    assert len(cases) == 1
    assert unreadable == ("case-broken",)


def test_an_accepted_report_that_was_tampered_with_does_not_load_as_accepted(tmp_path: Path) -> None:
    report = an_accepted_report()
    path = fill(tmp_path, [report]) / report.case.pseudonym / REPORT
    document = json.loads(path.read_text())
    document["verdict"]["score"] = 9.0
    path.write_text(json.dumps(document))

    assert load_cases(tmp_path) == ((), (report.case.pseudonym,))


def test_partial_and_superseded_folders_are_not_part_of_the_run(tmp_path: Path) -> None:
    fill(tmp_path, [an_accepted_report()])
    fill(tmp_path / "superseded", [an_accepted_report()])
    fill(tmp_path, [an_accepted_report(a_case(".partial-case-1"))])

    assert len(load_cases(tmp_path)[0]) == 1
