import math
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.calibrate import LEDGER_SPLITS, Calibration, calibrate, candidates, certified, shares
from pipelines.scored import Scored
from tests.pipelines.scored_cases import scored_cases
from triage.errors import TriageError
from triage.gate.certify import upper_bound
from triage.gate.signals import SIGNALS
from triage.ledger import Ledger, Split


def test_a_limit_that_the_cases_carry_is_certified(calibration: Calibration) -> None:
    level = calibration.certified

    assert level is not None
    accepted = calibration.calibrate.score <= level.score_limit
    assert (int(accepted.sum()), int((accepted & calibration.calibrate.failed).sum())) == (
        level.accepted,
        level.failures,
    )
    assert level.bound <= level.risk


def test_limits_do_not_depend_on_the_calibration_cases(
    calibration_cases: dict[str, list[Scored]], calibration: Calibration
) -> None:
    spoiled = [replace(case, signals=dict.fromkeys(SIGNALS, math.nan)) for case in calibration_cases["calibrate"]]

    other = certified({**calibration_cases, "calibrate": spoiled}, (0.1, 0.2), (), 0.05)

    assert other.score.weights.tolist() == calibration.score.weights.tolist()
    n = len(spoiled)
    limits = candidates(calibration.tune, calibration.tune.failed, n, (0.1,), 0.05)
    assert candidates(other.tune, other.tune.failed, n, (0.1,), 0.05) == limits
    assert [level.accepted for level in other.levels] == [0, 0]


def test_where_every_level_is_refused_whatever_holds_may_be_promised_instead() -> None:
    few = certified(scored_cases(20), (0.05,), (), 0.05, whatever_holds=True)

    refused, held = few.levels
    assert refused.score_limit is None
    assert held is few.certified
    assert held.risk == math.ceil(100 * upper_bound(held.failures, held.accepted, 0.05)) / 100
    assert few.unit == refused.first_limit


@pytest.mark.parametrize(
    ("first_limit", "score_limit", "holds"), [(0.5, 2.0, True), (1.0, 1.0, True), (1.5, 2.0, False), (0.5, 0.9, False)]
)
def test_lesions_are_promised_only_at_a_limit_that_was_tested_for_them(
    calibration: Calibration, first_limit: float, score_limit: float, holds: bool
) -> None:
    level = replace(calibration.levels[0], first_limit=first_limit, score_limit=score_limit)

    found = replace(calibration, unit=1.0, lesion_levels=[level])

    assert found.certified_with_lesions is (level if holds else None)


def calibrate_nothing(table: Path, ledger: Ledger) -> None:
    """With a bundle that is none: whoever gets as far as loading it fails."""
    calibrate(
        cases=table,
        bundle=table.parent,
        risks=(0.1,),
        lesion_risks=(),
        confidence=0.95,
        ledger=ledger,
        cache=table.parent,
        say=lambda _: None,
    )


@pytest.mark.parametrize(
    ("subjects", "words"),
    [
        (("one", ""), "nobody knows whose these scans are: b"),
        (("one", " ONE "), "more than one scan of a subject: a and b"),
    ],
)
def test_scans_that_cannot_count_as_subjects_stop_the_calibration(
    tmp_path: Path, subjects: tuple[str, str], words: str
) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,split,finding,t1,label,label2,label_kind,subject\n"
        + "".join(f"{name},calibrate,normal,x.nii,x.nii,,manual,{s}\n" for name, s in zip("ab", subjects, strict=True))
    )
    ledger = Ledger(file=tmp_path / "splits.jsonl", key=bytes(32))

    with pytest.raises(TriageError, match=words) as refused:
        calibrate_nothing(table, ledger)
    assert "cases.csv" in str(refused.value)
    assert refused.value.do
    assert ledger.find("one") is None


def test_that_every_accepted_case_may_fail_is_no_promise() -> None:
    few = scored_cases(2)
    unlike = [replace(case, signals=dict.fromkeys(SIGNALS, math.nan)) for case in few["calibrate"]]

    found = certified({**few, "calibrate": unlike}, (0.05,), (), 0.05, whatever_holds=True)

    assert found.certified is None
    assert [level.accepted for level in found.levels] == [0]


def test_the_tune_split_weighs_as_the_mixture(calibration_cases: dict[str, list[Scored]]) -> None:
    both = [*calibration_cases["clean"], *calibration_cases["tune"]]
    weight = shares(both)

    assert weight.sum() == pytest.approx(1)
    assert weight[: len(calibration_cases["clean"])].sum() == pytest.approx(0.4)


def test_a_subject_that_crosses_stops_the_calibration_before_anything_is_scored(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,split,finding,t1,label,label2,label_kind,subject\n"
        "a,tune,normal,a.nii,a.nii,,manual,one\nb,calibrate,normal,b.nii,b.nii,,manual,one\n"
    )
    ledger = Ledger(file=tmp_path / "splits.jsonl", key=bytes(32))

    with pytest.raises(TriageError, match="another split for ever"):
        calibrate_nothing(table, ledger)
    assert ledger.find("one") is Split.TUNE


@pytest.mark.parametrize(("risks", "confidence"), [((), 0.95), ((0.0,), 0.95), ((1.0,), 0.95), ((0.1,), 1.0)])
def test_a_risk_that_nobody_can_promise_is_an_error(
    tmp_path: Path, risks: tuple[float, ...], confidence: float
) -> None:
    ledger = Ledger(file=tmp_path / "splits.jsonl", key=bytes(32))

    with pytest.raises(TriageError, match="between 0 and 1"):
        calibrate(
            cases=tmp_path / "none.csv",
            bundle=tmp_path,
            risks=risks,
            lesion_risks=(),
            confidence=confidence,
            ledger=ledger,
            cache=tmp_path,
            say=lambda _: None,
        )


def test_every_split_of_the_table_is_settled_in_the_ledger_and_pathology_is_only_looked_at() -> None:
    assert LEDGER_SPLITS["pathology"] is LEDGER_SPLITS["test"] is Split.TEST
