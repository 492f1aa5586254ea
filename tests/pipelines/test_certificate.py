import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import verify
from pipelines.calibrate import Calibration, certified
from pipelines.certificate import as_json, code_version, digest, write_bundle
from pipelines.certificate_text import in_words, means, promise
from pipelines.failure import PLAIN, Habit
from pipelines.scored import Scored, model_digest
from pipelines.settings import SHIPPED_BUNDLE
from tests.pipelines.scored_cases import an_image, scored_cases
from triage import __version__
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
    assert "(together: no scanner or age by itself)" in said  # 60 subjects carry 10 % of no group beside sixteen others
    assert "no other scanners" in said
    assert "adults up to 79 years" in said  # the oldest of the builder's


def test_the_groups_that_are_covered_are_named_and_those_of_anything_else_are_not(calibration: Calibration) -> None:
    covered = ("vendor Philips", "vendor other", "age not stated")
    groups = [replace(group, covered=group.group in covered) for group in calibration.groups]

    assert "like theirs (vendor Philips)," in promise(replace(calibration, groups=groups), 0.95)


def test_the_gate_speaks_for_nobody_older_than_the_calibration_subjects(
    calibration: Calibration, tmp_path: Path
) -> None:
    oldest = max(scan.age_years or 0 for scan in calibration.calibrate.scans)

    (tmp_path / FILE).write_text(json.dumps(as_json(calibration, SHIPPED_BUNDLE, 0.95)))
    point = read_operating_point(tmp_path / FILE)

    assert point.speaks_for(oldest)
    assert not point.speaks_for(oldest + 1)


def test_the_loosest_limit_of_the_labels_is_named_in_what_counts_as_failed() -> None:
    wide = {"manual": {**PLAIN, "lateral_ventricles": Habit(dice=0.7, ratio=1.0, off=0.4)}, "automatic": PLAIN}

    assert means(wide).endswith("beyond the habits of the labels: up to 40% for lateral ventricles")
    assert means({"automatic": PLAIN}).endswith("beyond the habits of the labels")


def changed_item(calibration: Calibration, **changes: object) -> Calibration:
    first, *others = calibration.test.cases
    scan = replace(first.item.scan, **changes)  # type: ignore[arg-type]
    cases = [replace(first, item=replace(first.item, scan=scan)), *others]
    return replace(calibration, test=replace(calibration.test, cases=cases))


@pytest.mark.parametrize("changed", ["t1", "labels", "lesions"])
def test_other_bytes_under_the_same_names_make_another_digest(calibration: Calibration, changed: str) -> None:
    assert digest(changed_item(calibration, **{changed: an_image(3.0)}).test) != digest(calibration.test)


def test_another_seed_of_the_damage_makes_another_digest(calibration: Calibration) -> None:
    first, *others = calibration.test.cases
    other = replace(first, item=replace(first.item, damage=replace(first.item.damage, seed=1)))

    assert digest(replace(calibration.test, cases=[other, *others])) != digest(calibration.test)


def test_the_commit_is_told_where_the_program_runs_from_a_checkout(tmp_path: Path) -> None:
    assert code_version(tmp_path) == __version__
    (tmp_path / ".git").mkdir()
    assert code_version(tmp_path) == __version__  # no checkout that git knows
    (tmp_path / ".git").rmdir()
    for command in ("init -q", "-c user.name=a -c user.email=a commit -q --allow-empty -m first"):
        subprocess.run(["git", "-C", str(tmp_path), *command.split()], check=True)
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)

    told = code_version(tmp_path)

    assert told.startswith(f"{__version__} (")
    assert head.stdout.startswith(told.partition("(")[2][:-1])


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
