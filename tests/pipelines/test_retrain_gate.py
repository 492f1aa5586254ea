"""The gate of a retrained bundle promises what the one before it was asked to promise, or what holds of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines import retrain_gate
from pipelines.calibrate import Calibration, certified
from pipelines.promises import Asked, read_asked
from pipelines.retrain_corrections import Corrections, open_ledger
from pipelines.retrain_job import Job, Options
from pipelines.retrain_stages import BUNDLE, CALIBRATED, close_gate
from pipelines.settings import SHIPPED_BUNDLE, Settings
from tests.pipelines.scored_cases import scored_cases
from triage.gate.operating_point import FILE, read_operating_point


def test_a_retrained_bundle_is_calibrated_for_what_the_live_one_was_and_can_accept_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def calibrate(**given: Any) -> Calibration:
        asked.update(given)
        delta, held = 1 - given["confidence"], given["whatever_holds"]
        return certified(scored_cases(20), given["risks"], given["lesion_risks"], delta, whatever_holds=held)

    monkeypatch.setattr(retrain_gate, "calibrate", calibrate)
    job = Job(
        live=SHIPPED_BUNDLE,
        live_digest="live",
        corrections=Corrections(train=(), tune=(), left_out={}),
        ledger=open_ledger(Settings(state=tmp_path)),
        options=Options(),
        state=tmp_path,
        cases=Path(__file__),
    )
    shutil.copytree(SHIPPED_BUNDLE, job.folder / BUNDLE)
    close_gate(job.folder / BUNDLE / FILE)

    retrain_gate.recalibrate(job)

    assert Asked(**{name: asked[name] for name in Asked.__dataclass_fields__}) == read_asked(job.live)
    assert read_asked(job.live).whatever_holds
    assert read_operating_point(job.folder / CALIBRATED / FILE).accepts
