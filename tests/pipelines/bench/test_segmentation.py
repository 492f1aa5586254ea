"""The page of real scans: every bar stays in the table with what is reached."""

import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from pipelines.bench.lesions import read_lesion_images
from pipelines.bench.other_tools import NAIVE, tissue_dice, tissues_of_tool
from pipelines.bench.segmentation import error_auroc
from pipelines.bench.segmentation_bars import IXI_BARS, OASIS_BARS
from pipelines.bench.segmentation_page import bar_rows, naive_cost, score_correlation, write
from pipelines.compare import GRADED
from pipelines.scans import Scan
from tests.builders import a_prediction
from triage.anatomy import TISSUES


def results(dice: float = 0.9) -> dict[str, Any]:
    """Made-up figures of two scans a data set."""
    keys = (*GRADED, *IXI_BARS)
    row = {
        "dice": dict.fromkeys(keys, dice),
        "hd95_mm": dict.fromkeys(GRADED, 2.0),
        "error_auroc": {"brain": 0.9, "image": 0.97},
        "cortex_called_csf": 0.12,
        "tissues": {"grey_matter": 0.87, "white_matter": 0.92, "grey_or_csf": 0.94},
    }
    scans = [row | {"case": f"scan {k}", "split": split} for k, split in enumerate(("tune", "test"))]
    seen = {key: {"ece": 0.04, "diagram": [[0.5, 0.5], [None, None]]} for key in GRADED}
    tissues = {"grey_matter": 0.8, "white_matter": 0.9, "grey_or_csf": 0.95}
    tools = [tissues | {"case": "scan 1", "tool": "dipy_hmrf", "cpu_s": 44.0}]
    lesion = {"dice": 0.6, "jaccard": 0.43, "hd95_mm": 4.0, "found_ml": 9.0, "expected_ml": 9.5, "true_ml": 10.0}
    lesions = [
        lesion | {"case": "old", "finding": "wmh/atrophy", "contrast": "flair"},
        lesion | {"case": "mass", "finding": "tumour", "contrast": "t1c"},
    ]
    cases = [
        {"case": f"scan {k % 2}", "split": "test", "kind": "noise", "score": float(k), "dice": 0.9 - k / 100}
        for k in range(6)
    ]
    calibration = {"oasis": seen, "ixi": seen}
    return {
        "bundle": "b 1",
        "oasis": scans,
        "ixi": scans,
        "calibration": calibration,
        "cpu_s": 12.0,
        "tools": tools,
        "lesions": lesions,
        "cases": cases,
    }


def test_every_bar_is_in_the_table_whether_it_is_met_or_not() -> None:
    rows = bar_rows(results(dice=0.885))

    shown = {(row[0], str(row[1]).split()[-1]): row[-1] for row in rows}
    assert shown["Dice, Cortical grey matter", "OASIS"] == "met"
    assert shown["Dice, Cerebral white matter", "OASIS"] == "**not met**"
    assert len([row for row in rows if str(row[0]).startswith("Dice,")]) == len(OASIS_BARS) + len(IXI_BARS) + 1


def test_a_figure_that_is_not_a_number_meets_no_bar() -> None:
    rows = bar_rows(results(dice=math.nan))

    assert rows[0][-1] == "**not met**"


def test_the_page_shows_all_scans_tools_and_lesions(tmp_path: Path) -> None:
    text = write(results(), tmp_path)

    assert all(word in text for word in ("scan 0", "scan 1", "dipy HMRF", "old", "mass", "Hippocampus"))
    assert {path.name for path in tmp_path.iterdir()} == {
        name for name in text.replace(")", "(").split("(") if name.endswith(".png")
    }


def test_naive_passes_are_told_as_times_of_the_prediction_beside_them() -> None:
    tools = [{"tool": NAIVE, "cpu_s": 90.0, "own_cpu_s": 9.0}, {"tool": NAIVE, "cpu_s": 70.0, "own_cpu_s": 5.0}]

    assert "cost 12.0 times" in naive_cost(tools)
    assert "none was graded" in naive_cost([{"tool": NAIVE, "cpu_s": 90.0}])


def test_a_score_that_rises_as_dice_falls_has_the_largest_correlation() -> None:
    rho, low, high = score_correlation(results()["cases"])

    assert (rho, low, high) == pytest.approx((1, 1, 1))


def test_lesions_are_read_where_a_mask_belongs_to_the_scan(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,split,finding,t1,flair,t1c,label,label2,label_kind\n"
        "old,pathology,wmh/atrophy,a.nii.gz,b.nii.gz,,m.nii.gz,p.nii.gz,auto DLWMLS/DLMUSE\n"
        "ms,pathology,ms,a.nii.gz,b.nii.gz,,m.nii.gz,,manual change mask in common space\n"
        "mass,pathology,tumour,,b.nii.gz,c.nii.gz,m.nii.gz,,manual (BraTS 2013)\n"
    )

    images = read_lesion_images(table, ("wmh/atrophy", "ms", "tumour"))

    assert [(one.scan.name, one.scan.t1.name) for one in images] == [
        ("old.flair", "b.nii.gz"),
        ("mass.flair", "b.nii.gz"),
        ("mass.t1c", "c.nii.gz"),
    ]


def test_csf_and_grey_matter_are_joined_within_the_manual_brain_only(tmp_path: Path) -> None:
    manual = np.array([[[100, 100, 44, 0]]], np.int16)  # cortex, cortex, white matter, nothing
    nib.save(nib.Nifti1Image(manual, np.eye(4)), tmp_path / "labels.nii.gz")
    scan = Scan(name="a", split="test", finding="", t1=tmp_path, labels=tmp_path / "labels.nii.gz", manual=True)

    found = tissue_dice(tissues_of_tool(np.array([[[1, 2, 3, 1]]])), scan)  # CSF, grey, white, CSF

    assert found["grey_matter"] == pytest.approx(2 / 3)
    assert found["white_matter"] == 1
    assert found["grey_or_csf"] == 1


def test_a_tools_tissues_are_classes_of_the_same_tissue() -> None:
    labels = tissues_of_tool(np.array([0, 1, 2, 3]))

    assert labels[0] == 0
    assert [labels[k] in TISSUES[name] for k, name in ((1, "csf"), (2, "grey_matter"), (3, "white_matter"))] == [
        True
    ] * 3


def test_entropy_where_the_labels_are_wrong_has_an_auroc_of_one() -> None:
    prediction = a_prediction()
    doubtful = prediction.entropy > np.median(prediction.entropy)
    truth = np.where(doubtful, np.where(prediction.labels == 4, 3, 4), prediction.labels).astype(np.uint8)

    found = error_auroc(prediction, truth)

    assert found["image"] == 1
