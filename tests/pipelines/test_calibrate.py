import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import SUMS, seal, verify
from pipelines.calibrate import LEDGER_SPLITS, Calibration, calibrate, candidates, certified, fit, items, shares, why
from pipelines.certificate import as_json, digest, in_words, promise, write_bundle
from pipelines.compare import GRADED
from pipelines.failure import Measured
from pipelines.mixture import Damage
from pipelines.population import masks
from pipelines.scans import Scan
from pipelines.scored import Item, Scored, Scorer, model_digest, usual_entropy
from pipelines.settings import SHIPPED_BUNDLE
from triage.errors import TriageError
from triage.findings import NOT_ASSESSABLE
from triage.gate.operating_point import FILE, read_operating_point
from triage.gate.signals import FAR_MM, SIGNALS
from triage.ledger import Ledger, Split


def a_scan(number: int, split: str) -> Scan:
    return Scan(
        name=f"{split}{number}",
        split=split,
        finding="normal",
        t1=Path("scan.nii"),
        labels=Path("labels.nii"),
        manual=False,
        subject=f"IXI{number}-HH-{split}",
        age_years=20.0 + number % 60,
        voxel="2mm",
    )


def scored(item: Item, rng: np.random.Generator) -> Scored:
    """Every signal rises with the level of damage; what is damaged badly fails."""
    level = item.damage.level
    signals = {name: 0.05 * rng.standard_normal() + 0.4 * level for name in SIGNALS}
    dice = 0.9 - 0.02 * rng.random() - (0.2 if level > 3 else 0.0)
    return Scored(
        item=item,
        refused="",
        signals=signals,
        like="normal",
        entropy_by_distance=(0.5,) * (FAR_MM + 1),
        baselines={"softmax_array": 0.1, "entropy_brain": 0.2},
        measured=Measured(
            dice=dict.fromkeys(GRADED, dice), volume_ratio=dict.fromkeys(GRADED, 1 + 0.01 * rng.standard_normal())
        ),
    )


def scored_cases(n: int = 60) -> dict[str, list[Scored]]:
    sizes = {"tune": 11, "calibrate": n, "test": 28}
    scans = [a_scan(k, split) for split, size in sizes.items() for k in range(size)]
    rng = np.random.default_rng(0)
    return {name: [scored(item, rng) for item in own] for name, own in items(scans).items() if name != "pathology"}


@pytest.fixture(scope="module")
def cases() -> dict[str, list[Scored]]:
    return scored_cases()


@pytest.fixture(scope="module")
def found(cases: dict[str, list[Scored]]) -> Calibration:
    return certified(cases, (0.1, 0.2), (0.3,), 0.05)


def test_a_limit_that_the_cases_carry_is_certified(found: Calibration) -> None:
    level = found.certified

    assert level is not None
    accepted = found.calibrate.score <= level.score_limit
    assert (int(accepted.sum()), int((accepted & found.calibrate.failed).sum())) == (level.accepted, level.failures)
    assert level.bound <= level.risk


def test_the_gate_that_reads_the_point_accepts_what_was_certified(found: Calibration, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(as_json(found, SHIPPED_BUNDLE, 0.95)))
    point = read_operating_point(tmp_path / FILE)

    def total(case: Scored) -> float:
        return sum(limit.part(case.signals[name]) for name, limit in point.limits.items())

    totals = np.array([total(case) for case in found.calibrate.cases])
    assert point.accepts
    assert point.certified
    assert totals == pytest.approx(found.calibrate.score / found.unit)
    assert int((totals <= point.score_limit + 1e-9).sum()) == found.certified.accepted  # type: ignore[union-attr]


def test_with_too_few_cases_nothing_is_accepted_and_it_says_how_many_more(tmp_path: Path) -> None:
    few = certified(scored_cases(20), (0.05,), (), 0.05)

    (tmp_path / FILE).write_text(json.dumps(as_json(few, SHIPPED_BUNDLE, 0.95)))
    point = read_operating_point(tmp_path / FILE)
    assert not point.accepts
    assert not point.certified
    assert few.levels[0].more == 59 - few.levels[0].accepted
    assert f"{few.levels[0].more} more accepted calibration cases are needed" in point.promise


def test_the_promise_says_what_and_for_whom(found: Calibration) -> None:
    said = promise(found, 0.95)

    assert f"of at most {found.certified.risk:.0%} of the accepted cases fail" in said  # type: ignore[union-attr]
    assert "Dice is under 0.8" in said
    assert "Philips" in said
    assert "no other scanners" in said


def test_every_level_and_every_group_is_told(found: Calibration) -> None:
    said = in_words(found, 0.95)

    assert "10%" in said
    assert "20%" in said
    assert "| vendor GE | 0 | 0 | 1.000 | no: too few cases |" in said


def test_limits_do_not_depend_on_the_calibration_cases(cases: dict[str, list[Scored]], found: Calibration) -> None:
    spoiled = [replace(case, signals=dict.fromkeys(SIGNALS, math.nan)) for case in cases["calibrate"]]

    other = certified({**cases, "calibrate": spoiled}, (0.1, 0.2), (), 0.05)

    assert other.score.weights.tolist() == found.score.weights.tolist()
    n = len(spoiled)
    limits = candidates(found.tune, found.tune.failed, n, (0.1,), 0.05)
    assert candidates(other.tune, other.tune.failed, n, (0.1,), 0.05) == limits
    assert [level.accepted for level in other.levels] == [0, 0]


@pytest.mark.parametrize(
    "change", [{"like": NOT_ASSESSABLE.key}, {"refused": "COVERAGE", "measured": None, "signals": {}}]
)
def test_what_the_gate_never_accepts_has_no_score_that_would(change, cases, found: Calibration) -> None:
    judged = found.score.judge([replace(cases["clean"][0], **change)])

    assert judged.score[0] == math.inf


def test_a_scan_that_was_refused_failed(cases: dict[str, list[Scored]]) -> None:
    refused = replace(cases["clean"][0], refused="COVERAGE", measured=None, signals={})

    assert why(refused, {}) == ("COVERAGE",)


def test_a_tune_split_without_good_scans_is_an_error() -> None:
    bad = [replace(case, measured=None, refused="COVERAGE") for case in scored_cases()["clean"]]

    with pytest.raises(TriageError, match="Fewer than two scans"):
        fit(bad, [])


def test_the_tune_split_weighs_as_the_mixture(cases: dict[str, list[Scored]]) -> None:
    both = [*cases["clean"], *cases["tune"]]
    weight = shares(both)

    assert weight.sum() == pytest.approx(1)
    assert weight[: len(cases["clean"])].sum() == pytest.approx(0.4)


def test_the_digest_of_a_list_of_cases_does_not_depend_on_its_order(found: Calibration) -> None:
    backwards = replace(found.test, cases=found.test.cases[::-1])

    assert digest(backwards) == digest(found.test) != digest(found.calibrate)


def test_a_new_bundle_is_sealed_and_an_old_one_is_never_overwritten(found: Calibration, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_BUNDLE, tmp_path / "old")

    sealed = write_bundle(found, tmp_path / "old", tmp_path / "new", 0.95)

    assert verify(tmp_path / "new") == sealed
    assert model_digest(tmp_path / "new") == model_digest(tmp_path / "old")
    before, after = (
        json.loads((tmp_path / n / "configs/metadata.json").read_text())["version"] for n in ("old", "new")
    )
    assert after.split(".")[:2] == before.split(".")[:2]
    assert int(after.split(".")[2]) == int(before.split(".")[2]) + 1
    with pytest.raises(TriageError, match="never overwritten"):
        write_bundle(found, tmp_path / "old", tmp_path / "new", 0.95)


def test_another_weight_makes_another_model(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_BUNDLE, tmp_path / "own")
    (tmp_path / "own/models/extra").write_text("x")
    seal(tmp_path / "own")

    assert (tmp_path / "own" / SUMS).is_file()
    assert model_digest(tmp_path / "own") != model_digest(SHIPPED_BUNDLE)


def test_a_subject_that_crosses_stops_the_calibration_before_anything_is_scored(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,split,finding,t1,label,label2,label_kind,subject\n"
        "a,tune,normal,a.nii,a.nii,,manual,one\nb,calibrate,normal,b.nii,b.nii,,manual,one\n"
    )
    ledger = Ledger(file=tmp_path / "splits.jsonl", key=bytes(32))

    with pytest.raises(TriageError, match="another split for ever"):
        calibrate(
            cases=table,
            bundle=tmp_path,
            risks=(0.1,),
            lesion_risks=(),
            confidence=0.95,
            ledger=ledger,
            cache=tmp_path,
            say=lambda _: None,
        )
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


def test_every_scan_is_of_one_group_of_each_kind() -> None:
    scans = [a_scan(k, "test") for k in range(9)]

    found = dict(masks(scans))

    assert found["vendor Philips"].all()
    assert found["field strength 3 T"].all()
    assert sum(mask for name, mask in found.items() if name.startswith("age")).tolist() == [1] * 9  # type: ignore[union-attr]
    assert found["age 18 to 39"].tolist() == [20 + k < 40 for k in range(9)]


def test_a_case_that_was_scored_is_read_again_and_another_damage_is_another_case(tmp_path: Path, monkeypatch) -> None:
    scan = replace(a_scan(0, "test"), t1=tmp_path / "scan.nii")
    scan.t1.write_bytes(b"voxels")
    made: list[str] = []

    def row(_: Scorer, item: Item) -> dict[str, object]:
        made.append(item.damage.name)
        return {"refused": "COVERAGE"}

    monkeypatch.setattr(Scorer, "_row", row)
    scorer = Scorer(engine=None, model="m", usual_entropy=np.zeros(4), cache=tmp_path)  # type: ignore[arg-type]
    item = Item(scan=scan)
    damaged = replace(item, damage=Damage(kind="noise", level=2, seed=1))

    list(scorer([item, item, damaged, item]))

    assert made == ["", damaged.damage.name]
    list(replace(scorer, model="another")([item]))
    assert len(made) == 3


def test_the_usual_entropy_is_the_mean_of_good_scans(cases: dict[str, list[Scored]]) -> None:
    assert usual_entropy(cases["clean"]).tolist() == [0.5] * (FAR_MM + 1)
