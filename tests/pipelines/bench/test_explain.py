"""The page of explanations: what is counted, and what counts as a match."""

import math

import numpy as np
import pytest

from pipelines.bench.explain import _weak, overlap
from pipelines.bench.explain_cases import FAULTS, FOCAL, GLOBAL, wrong_pose
from pipelines.bench.explain_matrix import ACCEPTED, OTHER, REASON, counted, first_reason, matrix, suggested
from pipelines.bench.stress import NO_BRAIN
from pipelines.degrade import DEGRADATIONS
from tests.pipelines.rungs import a_rung
from triage.gate.signals import SIGNALS
from triage.gate.wording import WORDING


def test_every_kind_of_damage_is_a_fault_with_signals_that_exist() -> None:
    rules = {"not_assessable", "contrast", "age", "no_brain"}

    assert set(DEGRADATIONS) | {"upside_down", "failed_registration", "lesion", NO_BRAIN} == set(FAULTS)
    assert all(fault.signals <= {*SIGNALS, *rules} and fault.actions for fault in FAULTS.values())
    assert set(GLOBAL) | set(FOCAL) <= set(FAULTS)


def test_the_first_reason_is_told_by_its_title_and_a_rule_as_a_rule() -> None:
    assert first_reason(a_rung("noise", 1, score=2.0)) == WORDING["prior_conflict"].title
    assert first_reason(a_rung("noise", 1, score=2.0, reasons=("not_assessable", "prior_conflict"))) == OTHER
    assert first_reason(a_rung()) == ACCEPTED


def test_a_suggestion_is_one_of_five_and_that_of_a_refused_image_none_of_them() -> None:
    assert suggested(a_rung(score=2.0, action="Edit slices 3 to 9: look.")) == "Edit slices"
    assert suggested(a_rung(score=2.0, action="Send the series again.")) == OTHER
    assert suggested(a_rung()) == ACCEPTED


def test_the_matrix_counts_each_scan_once_in_the_row_of_its_fault() -> None:
    rows = [("noise", a_rung()), ("noise", a_rung(score=2.0)), ("motion", a_rung(score=2.0))]
    columns = [WORDING["prior_conflict"].title, ACCEPTED]
    faults = list(FAULTS)

    counts = matrix(rows, first_reason, columns)

    assert counts.sum() == 3
    assert counts[faults.index("noise")].tolist() == [1, 1]
    assert counts[faults.index("motion")].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("suggestion", "share"),
    [
        ("Edit slices 10 to 19: look.", 1),
        ("Edit slices 5 to 14: look.", 0.5),
        ("Edit slices 30 to 40: look.", 0),
        ("Second reader: too much.", math.nan),
    ],
)
def test_the_overlap_is_the_share_of_the_lesions_slices_that_are_named(suggestion: str, share: float) -> None:
    assert overlap(suggestion, 10, 19) == pytest.approx(share, nan_ok=True)


def test_the_matrix_is_written_in_digits_with_what_fits_in_bold() -> None:
    lines = counted([("rotation", a_rung(score=2.0)), ("noise", a_rung())], REASON).splitlines()
    header = lines[0].split(" | ")
    rotation = next(line for line in lines if line.startswith("| rotation")).split(" | ")
    noise = next(line for line in lines if line.startswith("| noise")).rstrip(" |").split(" | ")

    assert rotation[header.index(WORDING["prior_conflict"].title)] == "**1**"
    assert rotation[header.index(WORDING["input_quality"].title)] == "**0**"
    assert noise[-1] == "1"


def test_the_first_screen_says_which_lesions_no_flag_tells_and_where_slices_miss_them() -> None:
    lesion = a_rung("lesion", 1)
    row = {
        "fault": "lesion",
        "rung": {"case": "one", "level": 1},
        "slices": [66, 91],
        "suggestions": {"focal_conflict": "Edit slices 39 to 45: look."},
    }

    rows = [("lesion", lesion), ("voids", a_rung("voids", 3, score=2.0))]

    said = _weak(rows, [*rows, ("lesion", lesion)], [row])

    assert "Of 2 painted lesions 0 are flagged" in said
    assert "Of 1 flagged scans with voids the reason named first fits in 0, the suggestion in 0" in said
    assert '1 lie wholly on others (one, lesion 1: "edit slices 39 to 45", where it lies on 66 to 91).' in said


def test_wrong_poses_are_off_by_what_they_say() -> None:
    shift, turn = wrong_pose((0, 15, 0)), wrong_pose((40,))

    assert np.linalg.norm(shift[:3, 3]) == 15
    assert np.degrees(np.arccos((np.trace(turn[:3, :3]) - 1) / 2)) == pytest.approx(40)
