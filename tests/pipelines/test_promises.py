"""What a calibration was asked for, and what the next one of the same model, or of its retrained weights, will be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.calibrate import certified
from pipelines.certificate import as_json
from pipelines.promises import Asked, asked_for, read_asked
from pipelines.settings import SHIPPED_BUNDLE
from tests.pipelines.scored_cases import scored_cases
from triage.gate.operating_point import FILE


def calibrated(folder: Path, asked: Asked) -> Path:
    """A bundle's folder with what a calibration on twenty subjects wrote."""
    delta = 1 - asked.confidence
    found = certified(scored_cases(20), asked.risks, asked.lesion_risks, delta, whatever_holds=asked.whatever_holds)
    (folder / FILE).write_text(json.dumps(as_json(found, SHIPPED_BUNDLE, asked.confidence)))
    return folder


@pytest.mark.parametrize(
    "asked",
    [
        Asked(risks=(0.5, 0.3)),
        Asked(risks=(0.05,), lesion_risks=(0.3, 0.2), confidence=0.9),
        Asked(risks=(0.05,), whatever_holds=True),
        Asked(risks=(0.04, 0.02), whatever_holds=True),
    ],
)
def test_what_a_calibration_was_asked_for_is_read_from_what_it_wrote(tmp_path: Path, asked: Asked) -> None:
    assert read_asked(calibrated(tmp_path, asked)) == asked


def test_a_bundle_that_was_never_calibrated_was_asked_for_nothing_of_its_own(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"version": 2}')

    assert read_asked(tmp_path) == Asked()


def test_whoever_names_a_risk_asks_for_that_alone(tmp_path: Path) -> None:
    before = Asked(risks=(0.04,), lesion_risks=(0.3,), whatever_holds=True)
    bundle = calibrated(tmp_path, before)

    assert asked_for(bundle, [0.1], None, None, whatever_holds=None) == Asked(risks=(0.1,))
    assert asked_for(bundle, None, None, None, whatever_holds=None) == before
    assert asked_for(bundle, None, None, 0.9, whatever_holds=False) == replace(
        before, confidence=0.9, whatever_holds=False
    )
