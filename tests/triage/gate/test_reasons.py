"""A flag names what was bad, in a reader's words, and says what to do."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.builders import a_case
from tests.triage.gate.scenes import (
    GOOD_QUALITY,
    SHAPE,
    SPOT,
    a_gate,
    a_small_prediction,
    assert_a_human_looks,
    ball,
    good_signals,
    signals_of,
    verdict_for,
    with_scalars,
)
from triage.anatomy import N_CLASSES
from triage.gate.operating_point import Limit
from triage.gate.wording import SHORTCOMINGS, WORDING, Action
from triage.verdict import Reason, Verdict

INJECTED: dict[str, dict[str, Any]] = {
    "sample_disagreement": {"pairwise_dice": -2.0},
    "volume_spread": {"volumes_mm3": np.outer([1.0, 7.0, 1.0], np.full(N_CLASSES, 1e4))},
    "prior_conflict": {"atlas_log_bayes_factor": -5.0},
    "focal_conflict": {"conflict": np.where(ball(SHAPE, SPOT, 3), 30.0, -5.0).astype(np.float32)},
    "feature_density": {"feature_distance": 9.0},
    "input_quality": {"quality": {**GOOD_QUALITY, "largest_spacing_mm": 9.0}},
}
"""For every signal that can move alone, a prediction in which it alone is bad."""


@pytest.mark.parametrize("name", INJECTED)
def test_the_signal_that_was_made_bad_is_the_one_named(name: str) -> None:
    verdict = verdict_for(a_small_prediction(**INJECTED[name]))

    assert_a_human_looks(verdict)
    assert [reason.signal for reason in verdict.reasons] == [name]
    assert verdict.reasons[0].text in {WORDING[name].meaning, SHORTCOMINGS["sampling"]}
    assert verdict.reasons[0].value == signals_of(a_small_prediction(**INJECTED[name]))[name]


@pytest.mark.parametrize("name", INJECTED)
def test_every_suggestion_begins_with_what_to_do(name: str) -> None:
    assert verdict_for(a_small_prediction(**INJECTED[name])).action.startswith(tuple(Action))


@pytest.mark.parametrize(
    ("facts", "name"),
    [({"edge_contact_cm2": 60.0}, "coverage"), ({"largest_spacing_mm": 9.0}, "sampling"), ({"snr": 1.0}, "noise")],
)
def test_a_poor_input_is_told_what_it_lacks_most(facts: dict[str, float], name: str) -> None:
    verdict = verdict_for(a_small_prediction(quality={**GOOD_QUALITY, **facts}))

    assert verdict.reasons[0].text == SHORTCOMINGS[name]
    assert verdict.action.startswith(Action.RESCAN)


TALL = np.full((30, 30, 90), 3, np.uint8)
"""A brain of one tissue, 90 slices of 1 mm."""


def with_conflict(where: np.ndarray, factor: float = 0.5) -> Verdict:
    """The verdict on TALL when anatomy fits everywhere but there."""
    conflict = np.where(where, 12.0, -0.5).astype(np.float32)
    return verdict_for(a_small_prediction(TALL, conflict=conflict, atlas_log_bayes_factor=factor))


def the_reason(verdict: Verdict, signal: str) -> Reason:
    return next(reason for reason in verdict.reasons if reason.signal == signal)


def test_one_place_that_differs_from_anatomy_is_edited_on_the_slices_that_it_reaches() -> None:
    """Half of its worst patch: a patch that holds half of the ball or more, so at most 6 mm from its middle."""
    reason = the_reason(with_conflict(ball(TALL.shape, (15, 15, 40), 4)), "focal_conflict")

    first, last = (int(number) for number in re.findall(r"[0-9]+", reason.action))
    assert reason.action.startswith(Action.EDIT_SLICES)
    assert reason.text == WORDING["focal_conflict"].meaning
    assert 41 - 6 <= first < 41 < last <= 41 + 6


@pytest.mark.parametrize("factor", [-3.0, 0.5])
def test_anatomy_that_fits_nowhere_is_one_reason_with_the_part_of_its_worst_place(factor: float) -> None:
    verdict = with_conflict(TALL > 0, factor=factor)
    part = {reading.name: reading.part for reading in verdict.signals}
    reason = the_reason(verdict, "prior_conflict")

    assert "focal_conflict" not in {one.signal for one in verdict.reasons}
    assert reason.part == pytest.approx(part["prior_conflict"] + part["focal_conflict"])
    assert part["focal_conflict"] > 1
    assert sum(part.values()) == pytest.approx(verdict.score)
    assert reason.text == WORDING["prior_conflict"].meaning
    assert reason.action.startswith(Action.CHECK_REGISTRATION)


def test_doubt_on_more_slices_than_anyone_edits_goes_to_a_second_reader() -> None:
    good = a_small_prediction(TALL)

    everywhere = verdict_for(replace(good, entropy=good.entropy + np.float32(2)))
    in_one_place = verdict_for(replace(good, entropy=good.entropy + 30 * ball(TALL.shape, (15, 15, 40), 4)))

    assert the_reason(everywhere, "worst_patch").action.startswith(Action.SECOND_READER)
    assert the_reason(in_one_place, "worst_patch").action.startswith(Action.EDIT_SLICES)


def test_what_is_wrong_with_a_case_is_named_before_that_nothing_could_be_certified() -> None:
    good = verdict_for(a_small_prediction(), accepts=False)
    bad = verdict_for(a_small_prediction(feature_distance=9.0), accepts=False)

    assert [reason.signal for reason in good.reasons] == ["not_certified"]
    assert [reason.signal for reason in bad.reasons] == ["feature_density", "not_certified"]


def test_an_image_without_a_brain_asks_for_another_series() -> None:
    verdict = verdict_for(a_small_prediction(np.zeros(SHAPE, np.uint8)))

    assert verdict.reasons[0].text == "No brain was found in the image."
    assert verdict.action.startswith(Action.OTHER_SERIES)


def test_reasons_stand_worst_first_and_small_parts_are_not_named() -> None:
    verdict = verdict_for(with_scalars(0.5, 2.0, 0.1))  # parts: 0.5, 2.0 and, under a fifth of the limit, 0.1

    assert [reason.signal for reason in verdict.reasons] == ["prior_conflict", "sample_disagreement"]


def test_many_small_doubts_flag_together_and_the_largest_is_named() -> None:
    limits = {name: Limit(typical=value - 0.15, limit=value + 0.85) for name, value in good_signals().items()}
    verdict = a_gate(limits=limits).decide(a_case(), a_small_prediction())  # ten parts of 0.15: 1.5 over 1

    assert_a_human_looks(verdict)
    assert all(reading.part == pytest.approx(0.15) for reading in verdict.signals)
    assert len(verdict.reasons) == 1
