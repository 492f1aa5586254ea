"""The page of explanations: what is counted, and what counts as a match."""

import numpy as np
import pytest

from pipelines.bench.explain import ACCEPTED, OTHER, first_reason, matrix, overlap, suggested
from pipelines.bench.explain_cases import FAULTS, FOCAL, GLOBAL, wrong_pose
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
        ("Edit slices 10 to 19: look.", "100%"),
        ("Edit slices 5 to 14: look.", "50%"),
        ("Edit slices 30 to 40: look.", "0%"),
        ("Second reader: too much.", "-"),
    ],
)
def test_the_overlap_is_the_share_of_the_lesions_slices_that_are_named(suggestion: str, share: str) -> None:
    assert overlap(suggestion, 10, 19) == share


def test_wrong_poses_are_off_by_what_they_say() -> None:
    shift, turn = wrong_pose((0, 15, 0)), wrong_pose((40,))

    assert np.linalg.norm(shift[:3, 3]) == 15
    assert np.degrees(np.arccos((np.trace(turn[:3, :3]) - 1) / 2)) == pytest.approx(40)
