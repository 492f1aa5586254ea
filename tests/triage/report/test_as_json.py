"""report.json: valid, strict, and nobody's identity."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.builders import a_case, a_prediction, a_series, finding_samples
from tests.verdicts import a_flagged_report, a_flagged_verdict, a_refused_report, an_accepted_report
from triage.anatomy import STRUCTURES, TISSUES
from triage.findings import FINDINGS
from triage.report.as_json import REPORT, SCHEMA_VERSION, as_json, schema
from triage.verdict import Report


def read_back(report: Report, folder: Path) -> dict[str, Any]:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    as_json(report, folder)
    return dict(json.loads((folder / REPORT).read_text(), parse_constant=no_constant))


def validate(document: dict[str, Any]) -> None:
    Draft202012Validator(schema()).validate(document)


def test_the_schema_is_one_and_names_its_version() -> None:
    Draft202012Validator.check_schema(schema())

    assert schema()["$id"].endswith(f":{SCHEMA_VERSION}")


@pytest.mark.parametrize("build", [an_accepted_report, a_flagged_report, a_refused_report])
def test_a_report_of_every_route_is_valid(build: Any, tmp_path: Path) -> None:
    validate(read_back(build(), tmp_path))


def test_the_findings_are_those_of_the_prediction_with_their_interval(tmp_path: Path) -> None:
    samples = finding_samples("focal")

    document = read_back(an_accepted_report(prediction=a_prediction(finding_samples=samples)), tmp_path)

    validate(document)
    assert [row["key"] for row in document["findings"]] == [f.key for f in FINDINGS]
    np.testing.assert_allclose([row["probability"] for row in document["findings"]], samples.mean(axis=0))


@pytest.mark.parametrize("samples", [np.zeros((0, 5)), np.full((4, 5), math.nan)])
def test_a_report_without_findings_or_without_numbers_is_valid(samples: np.ndarray, tmp_path: Path) -> None:
    document = read_back(an_accepted_report(prediction=a_prediction(finding_samples=samples)), tmp_path)

    validate(document)
    assert {row["probability"] for row in document["findings"]} <= {None}


def test_the_schema_knows_every_finding() -> None:
    assert schema()["$defs"]["finding"]["properties"]["key"]["enum"] == [f.key for f in FINDINGS]


def test_a_number_that_is_not_finite_is_null(tmp_path: Path) -> None:
    report = a_flagged_report(
        verdict=a_flagged_verdict(score=math.nan, limit=math.inf),
        prediction=a_prediction(feature_distance=math.nan, quality={"snr": math.inf}),
    )

    document = read_back(report, tmp_path)

    validate(document)
    assert document["verdict"]["score"] is None
    assert document["verdict"]["limit"] is None
    assert document["uncertainty"]["feature_distance"] is None
    assert document["uncertainty"]["quality"] == {"snr": None}


def test_the_mutual_information_of_a_structure_is_its_mean_over_what_is_labelled_so(tmp_path: Path) -> None:
    report = an_accepted_report()
    prediction = report.prediction
    assert prediction is not None

    found = read_back(report, tmp_path)["uncertainty"]["mutual_information"]

    inside = prediction.labels == 3
    expected = float((prediction.entropy - prediction.expected_entropy)[inside].mean())
    assert found["cerebral_white"] == pytest.approx(expected, abs=1e-6)


def test_every_structure_and_tissue_has_a_volume_within_its_interval(tmp_path: Path) -> None:
    rows = {row["key"]: row for row in read_back(an_accepted_report(), tmp_path)["measurements"]}

    assert set(rows) == {s.key for s in STRUCTURES} | set(TISSUES) | {"brain_parenchymal_fraction"}
    assert all(row["low"] <= row["value"] <= row["high"] for row in rows.values())


def test_the_report_tells_how_to_repeat_it(tmp_path: Path) -> None:
    report = an_accepted_report()
    assert report.prediction is not None

    document = read_back(report, tmp_path)

    assert document["processing"]["seed"] == report.prediction.seed
    assert [step["name"] for step in document["processing"]["steps"]] == [s.name for s in report.prediction.steps]
    assert document["bundle"]["digest"] == report.bundle.digest


@pytest.mark.parametrize(("age", "stated"), [(67.8, 67), (90.0, 90), (97.0, 90), (None, None), (math.nan, None)])
def test_an_age_over_ninety_is_stated_as_ninety(age: float | None, stated: int | None, tmp_path: Path) -> None:
    report = an_accepted_report(a_case(structural=a_series(age_years=age)))

    assert read_back(report, tmp_path)["case"]["input"]["age_years"] == stated


def test_acting_characters_of_a_reason_are_escaped_in_the_file(tmp_path: Path) -> None:
    verdict = a_flagged_verdict(action="\x1b[2J\u202eevil")

    document = read_back(a_flagged_report(verdict=verdict), tmp_path)

    assert document["verdict"]["action"] == "\x1b[2J\u202eevil"
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in (tmp_path / REPORT).read_bytes())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["verdict"].update(route="perhaps"),
        lambda d: d.update(schema_version="2.0"),
        lambda d: d.update(patient="A"),
        lambda d: d["verdict"].update(score=None),
        lambda d: d.update(measurements=[]),
        lambda d: d["bundle"].pop("digest"),
    ],
)
def test_the_schema_turns_away_what_no_accepted_report_may_say(spoil: Any, tmp_path: Path) -> None:
    document = read_back(an_accepted_report(), tmp_path)
    spoil(document)

    with pytest.raises(ValidationError):
        validate(document)


def test_a_refused_report_carries_its_code_and_what_to_do(tmp_path: Path) -> None:
    report = a_refused_report()

    refusal = read_back(report, tmp_path)["refusal"]

    assert refusal["code"] == "MISSING_SLICE"
    assert refusal["do"] == report.verdict.action
