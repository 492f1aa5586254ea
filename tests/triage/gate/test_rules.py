"""The gate: the parts sum to the score, and doubt goes to a human whatever the rest says."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_case, a_refused_input, a_series, finding_samples
from tests.triage.gate.scenes import (
    SHAPE,
    SPOT,
    a_gate,
    a_small_prediction,
    assert_a_human_looks,
    verdict_for,
    with_scalars,
)
from triage.anatomy import N_CLASSES
from triage.case import Weighting
from triage.errors import Code
from triage.findings import FINDINGS
from triage.gate.rules import refuse
from triage.gate.signals import SIGNALS
from triage.verdict import Route

NAN_MAP = np.full(SHAPE, np.nan, np.float32)
BROKEN: dict[str, dict[str, Any]] = {
    "boundary_entropy": {"entropy": NAN_MAP},
    "interior_entropy": {"entropy": NAN_MAP},
    "worst_patch": {"entropy": NAN_MAP},
    "sample_disagreement": {"pairwise_dice": math.nan},
    "volume_spread": {"volumes_mm3": np.full((4, N_CLASSES), np.nan)},
    "prior_conflict": {"atlas_log_bayes_factor": math.nan},
    "focal_conflict": {"conflict": NAN_MAP},
    "feature_density": {"feature_distance": math.nan},
    "input_quality": {"quality": {}},
    "finding_entropy": {"finding_samples": np.full((4, len(FINDINGS)), np.nan)},
}
"""For every signal, a prediction from which it cannot be computed."""


def test_a_good_scan_of_the_population_is_accepted_without_a_reason() -> None:
    verdict = verdict_for(a_small_prediction())

    assert verdict.route is Route.ACCEPTED
    assert (verdict.score, verdict.reasons, verdict.action) == (0, (), "")


@given(st.lists(st.floats(0, 3), min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_the_parts_of_the_signals_sum_to_the_score_exactly(worse: list[float]) -> None:
    verdict = verdict_for(with_scalars(*worse))

    assert [reading.name for reading in verdict.signals] == list(SIGNALS)
    assert sum(reading.part for reading in verdict.signals) == verdict.score


@given(st.lists(st.floats(0, 0.8), min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_accepted_is_exactly_a_score_within_the_limit(worse: list[float]) -> None:
    verdict = verdict_for(with_scalars(*worse))

    assert (verdict.route is Route.ACCEPTED) == (verdict.score <= verdict.limit)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_raising_any_signal_never_turns_a_flagged_case_into_an_accepted_one(
    first: list[float], more: list[float]
) -> None:
    before = verdict_for(with_scalars(*first))
    after = verdict_for(with_scalars(*(a + b for a, b in zip(first, more, strict=True))))

    assert after.score >= before.score
    assert not (before.route is Route.HUMAN_REVIEW and after.route is Route.ACCEPTED)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_that_is_not_a_number_never_passes(name: str) -> None:
    verdict = verdict_for(a_small_prediction(**BROKEN[name]))

    assert_a_human_looks(verdict)
    assert math.isnan(verdict.score)
    assert verdict.doubt == math.inf
    assert name in {reason.signal for reason in verdict.reasons if reason.text == "This signal could not be computed."}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["pairwise_dice", "feature_distance", "atlas_log_bayes_factor"])
def test_a_number_of_the_engine_that_is_not_finite_never_passes(name: str, bad: float) -> None:
    assert_a_human_looks(verdict_for(a_small_prediction(**{name: bad})))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("voxel", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["entropy", "conflict"])
def test_one_voxel_of_the_brain_that_is_not_finite_never_passes(name: str, voxel: float) -> None:
    values = getattr(a_small_prediction(), name).copy()
    values[SPOT] = voxel

    assert_a_human_looks(verdict_for(a_small_prediction(**{name: values})))


def test_uniform_probabilities_never_pass() -> None:
    clueless = np.full(SHAPE, math.log(N_CLASSES), np.float32)

    assert_a_human_looks(verdict_for(a_small_prediction(entropy=clueless)))


@pytest.mark.parametrize("class_id", [0, 1])
def test_a_segmentation_without_brain_never_passes_and_has_no_place(class_id: int) -> None:
    verdict = verdict_for(a_small_prediction(np.full(SHAPE, class_id, np.uint8)))

    assert_a_human_looks(verdict)
    assert math.isnan(verdict.score)
    assert verdict.place is None


@pytest.mark.parametrize("weighting", [w for w in Weighting if w is not Weighting.T1])
def test_another_contrast_goes_to_a_human_however_good_the_score(weighting: Weighting) -> None:
    verdict = verdict_for(a_small_prediction(), a_case(structural=a_series(weighting=weighting)))

    assert_a_human_looks(verdict)
    assert verdict.score <= verdict.limit
    assert verdict.reasons[0].text == f"The limits were set for T1; this is {weighting}."


def test_a_contrast_agent_goes_to_a_human_however_good_the_score() -> None:
    verdict = verdict_for(a_small_prediction(), a_case(structural=a_series(contrast_agent=True)))

    assert_a_human_looks(verdict)
    assert verdict.reasons[0].text == "The limits were set for T1; this is T1 with contrast agent."


def test_a_scan_that_looks_most_like_one_not_assessable_goes_to_a_human_however_good_the_score() -> None:
    verdict = verdict_for(a_small_prediction(finding_samples=finding_samples("not_assessable")))

    assert_a_human_looks(verdict)
    assert verdict.score <= verdict.limit
    assert verdict.reasons[0].text == "The scan looks most like one that cannot be assessed."


@pytest.mark.parametrize("key", ["white_matter_lesions", "focal", "atrophy"])
def test_a_pattern_that_is_not_normal_is_no_doubt_about_the_measurements(key: str) -> None:
    assert verdict_for(a_small_prediction(finding_samples=finding_samples(key))).route is Route.ACCEPTED


def test_a_bundle_without_a_classifier_is_not_asked_for_its_signal() -> None:
    limits = {name: limit for name, limit in a_gate().operating_point.limits.items() if name != "finding_entropy"}
    without = a_small_prediction(finding_samples=np.zeros((0, len(FINDINGS))))

    verdict = a_gate(limits=limits).decide(a_case(), without)

    assert verdict.route is Route.ACCEPTED
    assert "finding_entropy" not in {reading.name for reading in verdict.signals}


def test_where_no_limit_could_be_certified_the_best_scan_goes_to_a_human() -> None:
    verdict = a_gate(accepts=False).decide(a_case(), a_small_prediction())

    assert_a_human_looks(verdict)
    assert verdict.score <= verdict.limit
    assert [reason.signal for reason in verdict.reasons] == ["not_certified"]


def test_a_classifier_for_which_no_limit_was_set_never_passes() -> None:
    limits = {name: limit for name, limit in a_gate().operating_point.limits.items() if name != "finding_entropy"}

    verdict = a_gate(limits=limits).decide(a_case(), a_small_prediction())

    assert_a_human_looks(verdict)
    assert [reason.signal for reason in verdict.reasons] == ["finding_entropy"]


def test_a_limit_whose_classifier_gave_nothing_never_passes() -> None:
    assert_a_human_looks(verdict_for(a_small_prediction(finding_samples=np.zeros((0, len(FINDINGS))))))


@pytest.mark.parametrize(("age", "route"), [(17.9, "human_review"), (18.0, "accepted"), (math.nan, "human_review")])
def test_an_age_under_the_limit_goes_to_a_human_however_good_the_score(age: float, route: str) -> None:
    verdict = verdict_for(a_small_prediction(), a_case(structural=a_series(age_years=age)))

    assert verdict.route == route


@pytest.mark.parametrize(
    ("age", "route"), [(74.0, "accepted"), (74.9, "accepted"), (75.0, "human_review"), (math.inf, "human_review")]
)
def test_an_age_over_those_of_the_calibration_goes_to_a_human_however_good_the_score(age: float, route: str) -> None:
    verdict = verdict_for(a_small_prediction(), a_case(structural=a_series(age_years=age)), oldest_years=74.0)

    assert verdict.route == route
    assert [reason.text for reason in verdict.reasons] == (
        [] if route == "accepted" else ["The limits were set for ages from 18 to 74 years."]
    )


@pytest.mark.parametrize("age", [18.0, 75.0, 120.0])
def test_where_no_oldest_age_is_known_none_is_too_old(age: float) -> None:
    verdict = verdict_for(a_small_prediction(), a_case(structural=a_series(age_years=age)))

    assert verdict.route is Route.ACCEPTED


def test_an_age_that_the_header_does_not_tell_is_no_reason() -> None:
    verdict = verdict_for(a_small_prediction(), a_case(structural=a_series(age_years=None)))

    assert verdict.route is Route.ACCEPTED


def test_a_good_score_outside_the_population_is_not_blamed_on_a_signal() -> None:
    verdict = verdict_for(a_small_prediction(), a_case(structural=a_series(age_years=3.0)))

    assert [reason.signal for reason in verdict.reasons] == ["age"]


def test_a_bad_score_outside_the_population_names_both() -> None:
    verdict = verdict_for(with_scalars(0, 5, 0), a_case(structural=a_series(age_years=3.0)))

    assert [reason.signal for reason in verdict.reasons] == ["age", "prior_conflict"]


def test_a_refused_input_is_refused_with_its_code_and_what_to_do() -> None:
    refused = a_refused_input(code=Code.MISSING_SLICE)
    verdict = refuse(refused)

    assert verdict.route is Route.REFUSED
    assert [reason.signal for reason in verdict.reasons] == [Code.MISSING_SLICE]
    assert (verdict.reasons[0].text, verdict.action) == (refused.message, refused.do)
    assert math.isnan(verdict.score)
    assert verdict.doubt == math.inf


def test_every_verdict_repeats_the_promise_of_its_limits() -> None:
    verdict = verdict_for(a_small_prediction(), promise="At most 10 % are bad.")

    assert verdict.promise == "At most 10 % are bad."


SHOWN = frozenset({"vendor Philips", "field strength 3 T"})


@pytest.mark.parametrize(
    ("vendor", "tesla", "certified", "said"),
    [
        ("Philips", 2.89, True, ""),
        ("other", None, True, ""),
        ("other", 0.064, True, " The promise is not shown for field strength 0.064 T by itself."),
        ("GE", 3.0, True, " The promise is not shown for vendor GE by itself."),
        ("Siemens", 7.0, True, " The promise is not shown for vendor Siemens or field strength 7 T by itself."),
        ("GE", 1.5, False, ""),
    ],
)
def test_a_scanner_for_which_the_promise_was_not_shown_by_itself_is_named_and_no_reason(
    vendor: str, tesla: float | None, certified: bool, said: str
) -> None:
    case = a_case(structural=a_series(manufacturer=vendor, field_strength_t=tesla))

    verdict = verdict_for(a_small_prediction(), case, promise="P.", covered=SHOWN, certified=certified)

    assert verdict.promise == "P." + said
    assert verdict.route is Route.ACCEPTED
