"""Measuring a bundle: the label tables, the Dice and provisional limits."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.evaluate import NEUROMORPHOMETRICS, dice_table, read_scans
from pipelines.set_limits import SPREADS, provisional_limits
from triage.anatomy import LESION, N_CLASSES


def test_every_healthy_class_has_ids_in_the_parcellation() -> None:
    assert set(NEUROMORPHOMETRICS) == set(range(LESION))


def test_left_and_right_of_the_parcellation_are_one_class() -> None:
    pairs = [
        (23, 30),
        (31, 32),
        (36, 37),
        (38, 39),
        (40, 41),
        (44, 45),
        (47, 48),
        (51, 52),
        (57, 58),
        (59, 60),
        (61, 62),
    ]

    assert all(NEUROMORPHOMETRICS[right] == NEUROMORPHOMETRICS[left] for right, left in pairs)


def test_dice_counts_voxels_as_a_loop_would() -> None:
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, N_CLASSES, (2, 6, 7, 8)).astype(np.uint8)

    table = dice_table(labels, truth)

    pairs = list(zip(labels.ravel().tolist(), truth.ravel().tolist(), strict=True))
    both = sum(a in (2, 4, 5, 8) and b in (2, 4, 5, 8) for a, b in pairs)
    either = sum((a in (2, 4, 5, 8)) + (b in (2, 4, 5, 8)) for a, b in pairs)
    assert table["grey_matter"] == pytest.approx(2 * both / either)


def test_a_structure_without_labels_has_no_dice() -> None:
    table = dice_table(np.full((2, 2, 2), 3, np.uint8), np.full((2, 2, 2), 3, np.uint8))

    assert table["cerebral_white"] == 1
    assert math.isnan(table["brainstem"])


def test_scans_are_read_by_split_and_change_masks_are_no_parcellation(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,split,finding,t1,label,label2,label_kind\n"
        "one,tune,normal,a.nii.gz,b.nii.gz,,auto DLMUSE\n"
        "two,tune,normal,a.nii.gz,,c.nii.gz,manual\n"
        "three,tune,ms,a.nii.gz,d.nii.gz,,manual change mask in common space\n"
        "four,tune,ms,,d.nii.gz,,manual\n"
        "five,test,normal,a.nii.gz,b.nii.gz,,auto DLMUSE\n"
    )

    scans = read_scans(table, ["tune"])

    assert [(s.name, s.manual) for s in scans] == [("one", False), ("two", True), ("three", True)]
    assert [s.labels for s in scans] == [tmp_path / "b.nii.gz", tmp_path / "c.nii.gz", None]
    assert {(s.subject, s.age_years, s.vendor, s.field_strength_t) for s in scans} == {("", None, "", None)}


def test_what_the_table_says_of_subject_and_scanner_is_read(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,split,finding,t1,label,label2,label_kind,subject,age,vendor,field_strength\n"
        "one,tune,normal,a.nii.gz,b.nii.gz,,manual,somebody,61,Siemens,3\n"
    )

    (scan,) = read_scans(table, ["tune"])

    assert (scan.subject, scan.age_years, scan.vendor, scan.field_strength_t) == ("somebody", 61.0, "Siemens", 3.0)


def test_a_provisional_limit_lies_some_ranges_above_the_worst_good_scan() -> None:
    limits = provisional_limits({"worst_patch": [0.2, 0.5, 0.3]})

    assert limits["worst_patch"] == {"typical": 0.5, "limit": pytest.approx(0.5 + SPREADS * 0.3)}


TABLE = "case,split,finding,t1,label,label2,label_kind\na,tune,normal,a.nii,{label},,manual\n"


def test_a_table_without_a_labelled_scan_is_an_error_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.csv").write_text(TABLE.format(label=""))

    assert main(["evaluate", "--cases", str(tmp_path / "cases.csv"), "--posteriors", str(tmp_path)]) == 1
    assert "no labelled scan of the split tune" in capsys.readouterr().err


def test_what_is_no_number_is_null_in_the_file_of_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"case": name, "dice": {"brainstem": dice}} for name, dice in (("a", 0.5), ("b", math.nan))]
    monkeypatch.setattr("pipelines.evaluate.evaluate", lambda *_: rows)
    (tmp_path / "cases.csv").write_text(TABLE.format(label="a.nii"))
    out = tmp_path / "figures.json"

    assert main(["evaluate", "--cases", str(tmp_path / "cases.csv"), "--out", str(out)]) == 0
    found = json.loads(out.read_text(), parse_constant=pytest.fail)
    assert found == [{"case": "a", "dice": {"brainstem": 0.5}}, {"case": "b", "dice": {"brainstem": None}}]
