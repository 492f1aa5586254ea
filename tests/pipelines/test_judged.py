import math
from dataclasses import replace

import pytest

from pipelines.judged import fit, up_to, why
from pipelines.scored import Scored
from tests.pipelines.scored_cases import scored_cases
from tests.triage.gate.scenes import a_gate
from triage.errors import TriageError
from triage.findings import NOT_ASSESSABLE


@pytest.mark.parametrize(
    "change", [{"like": NOT_ASSESSABLE.key}, {"refused": "COVERAGE", "measured": None, "signals": {}}]
)
def test_what_the_gate_never_accepts_has_no_score_that_would(change, calibration_cases, calibration) -> None:
    judged = calibration.score.judge([replace(calibration_cases["clean"][0], **change)])

    assert judged.score[0] == math.inf


def test_who_is_older_than_the_gate_speaks_for_has_no_score_that_would_be_accepted(calibration) -> None:
    point = a_gate(oldest_years=35.0).operating_point

    judged = up_to(calibration.test, point.oldest_years)

    of_age = [point.speaks_for(scan.age_years) for scan in judged.scans]
    assert not all(of_age)
    assert [score < math.inf for score in judged.score] == of_age


def test_a_scan_that_was_refused_failed(calibration_cases: dict[str, list[Scored]]) -> None:
    refused = replace(calibration_cases["clean"][0], refused="COVERAGE", measured=None, signals={})

    assert why(refused, {}) == ("COVERAGE",)


def test_a_tune_split_without_good_scans_is_an_error() -> None:
    bad = [replace(case, measured=None, refused="COVERAGE") for case in scored_cases()["clean"]]

    with pytest.raises(TriageError, match="Fewer than two scans"):
        fit(bad, [])
