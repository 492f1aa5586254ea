"""cases.csv opens in a spreadsheet without acting."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.builders import a_case, a_prediction, finding_samples
from tests.triage.report.run_folders import a_run, fill
from tests.verdicts import a_flagged_report, a_flagged_verdict, a_refused_report, an_accepted_report
from triage.findings import FINDINGS
from triage.report.as_csv import CASES, MEASURED, write_cases_csv


def table(out: Path) -> list[dict[str, str]]:
    write_cases_csv(a_run(out).cases, out / CASES)
    with (out / CASES).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_there_is_one_row_a_case_with_its_route(tmp_path: Path) -> None:
    rows = table(fill(tmp_path, [an_accepted_report(), a_flagged_report(), a_refused_report()]))

    assert sorted(row["route"] for row in rows) == ["accepted", "human_review", "refused"]


def test_an_accepted_case_has_every_measurement_with_its_interval_as_numbers(tmp_path: Path) -> None:
    (row,) = table(fill(tmp_path, [an_accepted_report()]))

    for key in MEASURED:
        unit = "" if key == "brain_parenchymal_fraction" else "_ml"
        low, value, high = (float(row[f"{key}{unit}{end}"]) for end in ("_low", "", "_high"))
        assert low <= value <= high


def test_a_case_has_the_probability_of_every_pattern_and_the_most_probable_one(tmp_path: Path) -> None:
    report = an_accepted_report(prediction=a_prediction(finding_samples=finding_samples("atrophy")))

    (row,) = table(fill(tmp_path, [report]))

    assert row["pattern_most_like"] == "atrophy"
    assert sum(float(row[f"p_{f.key}"]) for f in FINDINGS) == pytest.approx(1, abs=1e-4)


def test_without_a_classifier_the_cells_of_the_pattern_are_empty(tmp_path: Path) -> None:
    report = an_accepted_report(prediction=a_prediction(finding_samples=np.zeros((0, len(FINDINGS)))))

    (row,) = table(fill(tmp_path, [report]))

    assert {row["pattern_most_like"], *(row[f"p_{f.key}"] for f in FINDINGS)} == {""}


@pytest.mark.parametrize("start", ["=cmd()", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_a_text_that_a_spreadsheet_would_run_is_quoted(start: str, tmp_path: Path) -> None:
    (row,) = table(fill(tmp_path, [a_flagged_report(verdict=a_flagged_verdict(action=start))]))

    assert row["action"].startswith("'")


def test_a_negative_number_stays_a_number(tmp_path: Path) -> None:
    verdict = a_flagged_verdict(score=-0.25, signals=())

    (row,) = table(fill(tmp_path, [a_flagged_report(verdict=verdict)]))

    assert float(row["score"]) == -0.25


def test_a_number_that_is_not_finite_is_an_empty_cell(tmp_path: Path) -> None:
    (row,) = table(fill(tmp_path, [a_refused_report()]))

    assert row["score"] == row["grey_matter_ml"] == row["seconds"] == ""
    assert row["code"] == "MISSING_SLICE"


def test_acting_characters_are_shown_and_quotes_and_commas_survive(tmp_path: Path) -> None:
    action = 'Look, "carefully"\u202e\x1b[31m'

    (row,) = table(fill(tmp_path, [a_flagged_report(a_case("case-x"), verdict=a_flagged_verdict(action=action))]))

    assert row["action"] == 'Look, "carefully"\\u202e\\x1b[31m'
