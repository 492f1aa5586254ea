"""The gate: the parts sum to the score, doubt goes to a human, and the reader is told what and where."""

import itertools
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_case, a_refused_input, a_series, finding_samples
from tests.triage.gate.scenes import (
    GOOD_QUALITY,
    SHAPE,
    a_gate,
    a_small_prediction,
    ball,
    ball_labels,
    good_signals,
    signals_of,
    verdict_for,
)
from triage.anatomy import BRAIN, N_CLASSES, STRUCTURES
from triage.case import Weighting
from triage.errors import Code
from triage.findings import FINDINGS
from triage.gate.operating_point import Limit
from triage.gate.rules import refuse
from triage.gate.signals import SIGNALS
from triage.gate.wording import SHORTCOMINGS, WORDING, Action
from triage.prediction import Prediction
from triage.verdict import Reason, Route, Verdict

NAN_MAP = np.full(SHAPE, np.nan, np.float32)
SPOT = (11, 19, 21)
"""A place in the brain of the scene, off its middle on every axis."""

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

INJECTED: dict[str, dict[str, Any]] = {
    "sample_disagreement": {"pairwise_dice": -2.0},
    "volume_spread": {"volumes_mm3": np.outer([1.0, 7.0, 1.0], np.full(N_CLASSES, 1e4))},
    "prior_conflict": {"atlas_log_bayes_factor": -5.0},
    "focal_conflict": {"conflict": np.where(ball(SHAPE, SPOT, 3), 30.0, -5.0).astype(np.float32)},
    "feature_density": {"feature_distance": 9.0},
    "input_quality": {"quality": {**GOOD_QUALITY, "largest_spacing_mm": 9.0}},
}
"""For every signal that can move alone, a prediction in which it alone is bad."""


def with_scalars(disagreement: float, conflict: float, density: float) -> Prediction:
    """A good prediction, worse by so much in three signals."""
    good = a_small_prediction()
    return replace(
        good,
        pairwise_dice=good.pairwise_dice - disagreement,
        atlas_log_bayes_factor=good.atlas_log_bayes_factor - conflict,
        feature_distance=good.feature_distance + density,
    )


def with_a_spot(**maps: float) -> Prediction:
    """A good prediction, with these maps raised within 4 mm of SPOT."""
    good = a_small_prediction()
    near = ball(SHAPE, SPOT, 4)
    raised = {name: (getattr(good, name) + value * near).astype(np.float32) for name, value in maps.items()}
    return replace(good, **raised)


def turned(affine_of: tuple[int, int, int], flips: tuple[int, int, int], prediction: Prediction) -> Prediction:
    """The prediction as if the scanner's grid had these axes, 0.8 x 1 x 1.7 mm, turned by 20 degrees about z."""
    shape = np.array([40, 42, 30])
    turn = np.array([[np.cos(0.35), -np.sin(0.35), 0], [np.sin(0.35), np.cos(0.35), 0], [0, 0, 1]])
    to_conformed = np.eye(3)[:, list(affine_of)] * flips * [0.8, 1.0, 1.7]
    scanner = np.eye(4)
    scanner[:3, :3] = turn @ to_conformed
    scanner[:3, 3] = [30, -20, 10] - scanner[:3, :3] @ ((shape - 1) / 2)
    conformed = np.eye(4)
    conformed[:3, :3] = turn
    conformed[:3, 3] = [30, -20, 10] - turn @ ((np.array(SHAPE) - 1) / 2)
    empty = np.zeros(shape, np.uint8)
    return replace(
        prediction,
        affine=conformed,
        scanner_affine=scanner,
        scanner_labels=empty,
        scanner_entropy=empty.astype(np.float32),
    )


def assert_a_human_looks(verdict: Verdict) -> None:
    assert verdict.route is Route.HUMAN_REVIEW
    assert verdict.reasons
    assert verdict.action == verdict.reasons[0].action


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


def test_anatomy_that_fits_nowhere_blames_the_registration_whichever_signal_says_so() -> None:
    verdict = with_conflict(TALL > 0, factor=-3.0)

    for signal in ("focal_conflict", "prior_conflict"):
        assert the_reason(verdict, signal).action.startswith(Action.CHECK_REGISTRATION)
        assert the_reason(verdict, signal).text == WORDING["prior_conflict"].meaning


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


@pytest.mark.parametrize("name", ["entropy", "conflict"])
def test_the_place_is_where_the_doubt_was_planted(name: str) -> None:
    verdict = verdict_for(with_a_spot(**{name: 3.0}))

    assert verdict.place is not None
    # The 4 mm ball fits into a 10 mm patch with room on each side, so many centres are equally bad.
    assert np.abs(np.subtract(verdict.place.conformed, SPOT)).max() <= 5


def test_the_place_follows_the_larger_of_the_two_doubts() -> None:
    good = a_small_prediction()
    elsewhere = tuple(n - 1 - i for n, i in zip(SHAPE, SPOT, strict=True))
    entropy = (good.entropy + 0.5 * ball(SHAPE, elsewhere, 4)).astype(np.float32)
    prediction = replace(with_a_spot(conflict=3.0), entropy=entropy)
    place = verdict_for(prediction).place

    assert place is not None
    assert np.abs(np.subtract(place.conformed, SPOT)).max() <= 5


@given(corner=st.tuples(*[st.integers(0, n - 1) for n in SHAPE]))
@settings(max_examples=20, deadline=None)
def test_the_place_lies_in_the_brain_wherever_the_map_is_worst(corner: tuple[int, int, int]) -> None:
    entropy = a_small_prediction().entropy.copy()
    entropy[corner] = 2.4
    place = verdict_for(a_small_prediction(entropy=entropy)).place

    assert place is not None
    assert ball_labels()[place.conformed] in BRAIN
    assert place.structure == STRUCTURES[ball_labels()[place.conformed] - 1].name


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((-1, 1), repeat=3)))
def test_the_places_indices_and_millimetres_agree_on_every_grid(
    axes: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    prediction = turned(axes, flips, with_a_spot(entropy=3.0))
    place = a_gate().decide(a_case(), prediction).place

    assert place is not None
    np.testing.assert_allclose((prediction.affine @ [*place.conformed, 1])[:3], place.ras_mm, atol=1e-9)
    off = (prediction.scanner_affine @ [*place.scanner, 1])[:3] - place.ras_mm
    along = np.linalg.inv(prediction.scanner_affine[:3, :3]) @ off  # in voxels: the nearest one is within half of each
    assert (np.abs(along) <= 0.5 + 1e-9).all()


def test_a_place_beyond_the_scanners_grid_is_shown_at_its_nearest_voxel() -> None:
    beside = np.eye(4)
    beside[:3, 3] = [500, 0, 0]
    place = verdict_for(replace(with_a_spot(entropy=3.0), scanner_affine=beside)).place

    assert place is not None
    assert place.scanner[0] == 0


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
