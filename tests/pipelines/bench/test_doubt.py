"""Doubt against error, on rows whose answer is known."""

import math
from typing import Any

import numpy as np
import pytest

from pipelines.bench.doubt_cases import CLEAN, SHIPPED
from pipelines.bench.doubt_measures import (
    BAD_LOSS,
    MEASURES,
    at_level,
    labelled,
    of_row,
    rise,
    share_of_limit,
    with_error,
    within_scans,
)
from pipelines.bench.doubt_text import SANE, verdict, wrapped


def a_row(
    kind: str = CLEAN, level: int = 0, dice: float | None = 0.9, case: str = "one", **changes: Any
) -> dict[str, Any]:
    said = {"entropy": 0.2, "information": 0.001}
    return {
        "case": case,
        "kind": kind,
        "level": level,
        "predictors": dict.fromkeys(("softmax", "softmax, temperature", "posterior", SHIPPED), said),
        "disagreement": 0.1,
        "density": 1.0,
        "conflict": -0.2,
        "dice": {} if dice is None else {"a": dice - 0.05, "b": dice + 0.05},
        **changes,
    }


def test_the_error_is_one_minus_the_mean_dice() -> None:
    clean = a_row(dice=0.8)

    assert with_error(clean, [clean])["error"] == pytest.approx(0.2)


@pytest.mark.parametrize(("lost", "failed"), [(BAD_LOSS - 0.01, False), (BAD_LOSS + 0.01, True)])
def test_a_scan_failed_when_it_lost_much_against_itself_undamaged(lost: float, failed: bool) -> None:
    rows = [a_row(dice=0.6), a_row("noise", 3, dice=0.6 - lost), a_row(dice=0.95, case="another")]

    assert with_error(rows[1], rows)["failed"] is failed


def test_what_has_no_labels_has_no_error_and_is_not_counted() -> None:
    nothing = a_row("no brain", dice=None)

    assert math.isnan(with_error(nothing, [nothing])["error"])
    assert labelled([nothing, a_row()]) == [a_row()]


def test_one_kind_of_damage_comes_with_the_scans_as_they_are() -> None:
    rows = [a_row(), a_row("noise", 1), a_row("motion", 1)]

    assert labelled(rows, "noise") == rows[:2]


def test_level_0_are_the_scans_as_they_are() -> None:
    rows = [a_row(density=1.0), a_row(density=3.0, case="another"), a_row("noise", 5, density=8.0)]

    np.testing.assert_array_equal(at_level(rows, "noise", 0, of_row("density")), [1.0, 3.0])
    assert rise(rows, "noise", of_row("density")) == 8.0 / 2.0


def test_a_measure_that_could_not_be_told_is_not_a_number() -> None:
    said = {"entropy": None, "information": None}

    row = a_row(conflict=None, predictors={"posterior": said})

    assert math.isnan(MEASURES["conflict with anatomy"](row))
    assert math.isnan(MEASURES["entropy, posterior"](row))


def test_the_share_of_the_limit_is_what_the_gate_adds_up() -> None:
    share = share_of_limit("density", (1.2, 2.2))

    assert [share(a_row(density=d)) for d in (0.5, 1.2, 1.7, 3.2)] == pytest.approx([0, 0, 0.5, 2])
    assert math.isnan(share(a_row(density=None)))


def test_within_a_scan_only_its_own_copies_are_compared() -> None:
    """Between the scans the measure falls with the error, within each it rises."""
    rows = [
        a_row("noise", level, dice=base - 0.1 * level, case=case, density=level + 10 * base)
        for case, base in (("one", 0.9), ("another", 0.5))
        for level in (0, 1, 2)
    ]
    judged = [row | {"error": 1 - float(np.mean(list(row["dice"].values())))} for row in rows]

    assert within_scans(judged, of_row("density")) == pytest.approx(1)


def test_paragraphs_are_filled_again_and_tables_and_lists_are_left_as_such() -> None:
    page = "# Title\n\nOne\ntwo.\n\n- first\n  item\n- second\n\n| a | b |\n| --- | --- |"

    assert wrapped(page, 20) == "# Title\n\nOne two.\n\n- first item\n- second\n\n| a | b |\n| --- | --- |\n"


def test_a_map_that_random_weights_leave_alike_fails_the_check() -> None:
    text = verdict({"honest": SANE, "edges": SANE + 0.3}, (0.1, 0.2), (0.3, 0.4), 2.0)

    assert "Passed: honest. Failed: edges (0.50 left)." in text
