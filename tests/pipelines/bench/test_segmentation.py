"""The page of real scans: every bar stays in the table with what is reached."""

import json
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from pipelines.bench.lesions import read_lesion_images
from pipelines.bench.other_tools import NAIVE, TOOLS, TRIVIAL, missing_tools, tissue_dice, tissues_of_tool
from pipelines.bench.segmentation import error_auroc
from pipelines.bench.segmentation_bars import (
    IXI_BARS,
    NAMES,
    OASIS_BARS,
    bars,
    cost_bars,
    dice_bars,
    score_correlation,
    trivial_bars,
)
from pipelines.bench.segmentation_bars import (
    TISSUES as JOINED,
)
from pipelines.bench.segmentation_cases import CONFLICT, ENTROPY, GATE, gate_score
from pipelines.bench.segmentation_page import read_cost, write
from pipelines.bench.segmentation_tools import FILLED, missing, naive_cost
from pipelines.compare import GRADED
from pipelines.scans import Scan
from tests.builders import a_prediction
from triage.anatomy import TISSUES
from triage.gate.operating_point import FILE, read_operating_point


def results(dice: float = 0.9) -> dict[str, Any]:
    """Made-up figures of two scans a data set."""
    keys = (*GRADED, *IXI_BARS)
    row = {
        "hd95_mm": dict.fromkeys(GRADED, 2.0),
        "error_auroc": {"brain": 0.9, "image": 0.97},
        "cortex_called_csf": 0.12,
        "volume_ratio": dict.fromkeys(GRADED, 1.1),
        "brain_called_nothing": 0.02,
        FILLED: 0.95,
        "tissues": {"grey_matter": 0.87, "white_matter": 0.92, "grey_or_csf": 0.94},
    }
    scans = [
        row
        | {"case": f"scan {k}", "split": split}
        | {"dice": dict.fromkeys(keys, dice + k / 1000), "labels_ml": dict.fromkeys(GRADED, 20.0 + k)}
        for k, split in enumerate(("tune", "test"))
    ]
    seen = {key: {"ece": 0.04, "excess": 0.03, "diagram": [[0.5, 0.5], [None, None]]} for key in GRADED}
    tissues = {"grey_matter": 0.8, "white_matter": 0.9, "grey_or_csf": 0.95}
    tools = [tissues | {"case": "scan 1", "tool": tool, "cpu_s": 44.0} for tool in ("dipy_hmrf", TRIVIAL)]
    lesion = {"dice": 0.6, "jaccard": 0.43, "hd95_mm": 4.0, "found_ml": 9.0, "expected_ml": 9.5, "true_ml": 10.0}
    lesions = [
        lesion | {"case": "old", "finding": "wmh/atrophy", "contrast": "flair"},
        lesion | {"case": "mass", "finding": "tumour", "contrast": "t1c"},
    ]
    cases = [
        {
            "case": f"scan {k % 2}",
            "split": "test",
            "kind": "noise",
            "level": k,
            "scores": {GATE: float(k), CONFLICT: float(-k), ENTROPY: float(k)},
            "dice": 0.9 - k / 100,
        }
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
        "missing_tools": ["atropos"],
        "lesions": lesions,
        "cases": {"subjects": cases, "ladder": cases, "doubt": cases},
    }


COST = {"samples_passes": 1.2, "many_models": 500.0}


def test_every_bar_is_in_the_table_whether_it_is_met_or_not() -> None:
    found = bars(results(dice=0.885), COST)

    met = {(bar.name, bar.scans.split()[-1]): bar.met for bar in found}
    assert met["Dice, Cortical grey matter", "OASIS"]
    assert not met["Dice, Cerebral white matter", "OASIS"]
    structures = {NAMES[key] for key in (*OASIS_BARS, *IXI_BARS)}
    assert {name.removeprefix("Dice, ") for name, _ in met} >= structures
    assert met["cost of 32 samples, passes of the mean head", "OASIS"]
    assert not met["models whose error is reached in 2 passes", "OASIS"]


def test_every_bar_of_the_page_that_is_not_met_says_what_would_move_it(repository: Path) -> None:
    pages = repository / "docs" / "benchmarks"
    figures = json.loads((pages / "segmentation.json").read_text())

    for bar in bars(figures, read_cost(pages)):
        assert bar.met or bar.move, bar.name


def test_a_figure_that_is_not_a_number_meets_no_bar() -> None:
    assert not bars(results(dice=math.nan), COST)[0].met
    assert not any(bar.met for bar in cost_bars({}))


@pytest.mark.parametrize(("subjects", "shown"), [(7, False), (8, True)])
def test_fewer_than_eight_subjects_have_no_interval(subjects: int, shown: bool) -> None:
    figures = results()
    figures["oasis"] = subjects * figures["oasis"][:1]

    first = next(dice_bars(figures))

    assert math.isnan(first.low) is not shown
    assert (first.cells[4] != "") is shown


def test_what_the_mixture_loses_is_paired_by_scan() -> None:
    figures = results()
    figures["tools"] = [
        {"case": row["case"], "tool": TRIVIAL, "cpu_s": 5.0} | {key: row["tissues"][key] - 0.01 * k for key in JOINED}
        for k, row in enumerate(figures["oasis"])
    ]

    assert [bar.reached for bar in trivial_bars(figures)] == pytest.approx([0.005] * 3)


def test_the_page_shows_all_scans_tools_and_lesions(tmp_path: Path) -> None:
    text = write(results(), tmp_path)

    assert all(word in text for word in ("scan 0", "scan 1", "dipy HMRF", "old", "mass", "Hippocampus"))
    assert {path.name for path in tmp_path.iterdir()} == {
        name for name in text.replace(")", "(").split("(") if name.endswith(".png")
    }


def test_a_tool_that_was_not_found_is_named_with_what_makes_it() -> None:
    said = missing(results())

    assert "Atropos" in said
    assert "tissues.py --method atropos" in said
    assert missing(results() | {"missing_tools": []}) == ""


def test_tools_are_missing_that_left_nothing_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "baselines" / "dipy_hmrf").mkdir(parents=True)
    (tmp_path / "baselines" / "dipy_hmrf" / "a.nii.gz").touch()

    assert missing_tools(tmp_path) == [tool for tool in TOOLS if tool != "dipy_hmrf"]


def test_naive_passes_are_told_as_times_of_the_prediction_beside_them() -> None:
    tools = [{"tool": NAIVE, "cpu_s": 90.0, "own_cpu_s": 9.0}, {"tool": NAIVE, "cpu_s": 70.0, "own_cpu_s": 5.0}]

    assert "cost 12.0 times" in naive_cost(tools)
    assert "not measured" in naive_cost([])


def test_a_score_that_rises_as_dice_falls_has_the_largest_correlation() -> None:
    cases = results()["cases"]["subjects"]

    eight = [row | {"case": f"scan {k}"} for k in range(8) for row in cases]
    assert score_correlation(eight, GATE) == pytest.approx((1, 1, 1))
    assert score_correlation(eight, CONFLICT) == pytest.approx((-1, -1, -1))


def test_a_gate_score_with_a_signal_that_is_no_number_is_the_worst(repository: Path) -> None:
    point = read_operating_point(repository / "models" / "shipped" / FILE)
    typical = {name: limit.typical for name, limit in point.limits.items()}
    first = next(iter(typical))

    assert gate_score(typical, point) == 0
    assert gate_score(typical | {first: point.limits[first].limit}, point) == pytest.approx(1)
    assert gate_score(typical | {first: math.nan}, point) == math.inf


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
