import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import verify
from pipelines.calibrate import Calibration, certified
from pipelines.certificate import as_json, digest, in_words, promise, write_bundle
from pipelines.scored import Scored, model_digest
from pipelines.settings import SHIPPED_BUNDLE
from tests.pipelines.scored_cases import scored_cases
from triage.errors import TriageError
from triage.gate.operating_point import FILE, read_operating_point


def test_the_gate_that_reads_the_point_accepts_what_was_certified(calibration: Calibration, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(as_json(calibration, SHIPPED_BUNDLE, 0.95)))
    point = read_operating_point(tmp_path / FILE)

    def total(case: Scored) -> float:
        return sum(limit.part(case.signals[name]) for name, limit in point.limits.items())

    totals = np.array([total(case) for case in calibration.calibrate.cases])
    assert point.accepts
    assert point.certified
    assert totals == pytest.approx(calibration.calibrate.score / calibration.unit)
    assert int((totals <= point.score_limit + 1e-9).sum()) == calibration.certified.accepted  # type: ignore[union-attr]


def test_with_too_few_cases_nothing_is_accepted_and_it_says_how_many_more(tmp_path: Path) -> None:
    few = certified(scored_cases(20), (0.05,), (), 0.05)

    (tmp_path / FILE).write_text(json.dumps(as_json(few, SHIPPED_BUNDLE, 0.95)))
    point = read_operating_point(tmp_path / FILE)
    assert not point.accepts
    assert not point.certified
    assert few.levels[0].more == 59 - few.levels[0].accepted
    assert f"{few.levels[0].more} more accepted calibration cases are needed" in point.promise


def test_the_promise_says_what_and_for_whom(calibration: Calibration) -> None:
    said = promise(calibration, 0.95)

    assert f"of at most {calibration.certified.risk:.0%} of the accepted cases fail" in said  # type: ignore[union-attr]
    assert "Dice is under 0.8" in said
    assert "Philips" in said
    assert "no other scanners" in said


def test_every_level_and_every_group_is_told(calibration: Calibration) -> None:
    said = in_words(calibration, 0.95)

    assert "10%" in said
    assert "20%" in said
    assert "| vendor GE | 0 | 0 | 1.000 | no: too few cases |" in said


def test_the_digest_of_a_list_of_cases_does_not_depend_on_its_order(calibration: Calibration) -> None:
    backwards = replace(calibration.test, cases=calibration.test.cases[::-1])

    assert digest(backwards) == digest(calibration.test) != digest(calibration.calibrate)


def test_a_new_bundle_is_sealed_and_an_old_one_is_never_overwritten(calibration: Calibration, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_BUNDLE, tmp_path / "old")

    sealed = write_bundle(calibration, tmp_path / "old", tmp_path / "new", 0.95)

    assert verify(tmp_path / "new") == sealed
    assert model_digest(tmp_path / "new") == model_digest(tmp_path / "old")
    before, after = (
        json.loads((tmp_path / n / "configs/metadata.json").read_text())["version"] for n in ("old", "new")
    )
    assert after.split(".")[:2] == before.split(".")[:2]
    assert int(after.split(".")[2]) == int(before.split(".")[2]) + 1
    with pytest.raises(TriageError, match="never overwritten"):
        write_bundle(calibration, tmp_path / "old", tmp_path / "new", 0.95)
