"""Two models on the same cases: what is paired, what is drawn again, and when nobody can tell."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from pipelines.metrics import BINS, FINE_BINS, augrc, expected_calibration_error, reliability
from pipelines.paired import ALL, MEASURES, Difference, Examined, Standing, calibration_error, differences

BOOTSTRAPS = 200


def examined(case: str, **changes: object) -> Examined:
    """A labelled case that the model accepts."""
    certain = np.zeros((1, BINS, 3))
    certain[0, -1] = 1000, 990, 990
    one = Examined(case=case, subject=case, groups={}, dice=0.9, counts=certain, score=0.3, accepted=True)
    return replace(one, **changes)  # type: ignore[arg-type]


def cohort(n: int, seed: int = 0) -> list[Examined]:
    """Heads that differ much more from one another than models do."""
    rng = np.random.default_rng(seed)
    return [examined(f"case-{k}", dice=rng.uniform(0.5, 0.95), score=rng.uniform(0, 2)) for k in range(n)]


def changed(cases: Sequence[Examined], change: Callable[[Examined], dict[str, object]]) -> list[Examined]:
    return [replace(one, **change(one)) for one in cases]  # type: ignore[arg-type]


def found(live: Sequence[Examined], challenger: Sequence[Examined]) -> dict[tuple[str, str], Difference]:
    return {(one.group, one.measure): one for one in differences(live, challenger, bootstraps=BOOTSTRAPS)}


def standing(live: Sequence[Examined], challenger: Sequence[Examined], measure: str) -> Standing:
    return found(live, challenger)[ALL, measure].standing


def test_a_model_is_not_worse_than_itself() -> None:
    cases = cohort(40)

    assert {one.standing for one in found(cases, cases).values()} == {Standing.NOT_WORSE}


@pytest.mark.parametrize(
    ("gain", "expected"),
    [(-0.02, Standing.WORSE), (-0.005, Standing.NOT_WORSE), (0.0, Standing.NOT_WORSE), (0.005, Standing.BETTER)],
)
def test_a_loss_of_dice_within_the_margin_is_none(gain: float, expected: Standing) -> None:
    cases = cohort(30)

    assert standing(cases, changed(cases, lambda one: {"dice": one.dice + gain}), "dice") is expected


def test_what_differs_between_heads_cancels_since_the_same_heads_are_drawn_for_both() -> None:
    cases = cohort(30)

    difference = found(cases, changed(cases, lambda one: {"dice": one.dice + 0.005}))[ALL, "dice"]

    assert (difference.gain, difference.low, difference.high) == pytest.approx((0.005,) * 3)


def test_an_interval_that_reaches_beyond_the_margin_leaves_it_open() -> None:
    cases = cohort(12)
    noise = [(-0.05, 0.05)[k % 2] for k in range(len(cases))]
    noisy = [replace(one, dice=one.dice + shift) for one, shift in zip(cases, noise, strict=True)]

    assert standing(cases, noisy, "dice") is Standing.CANNOT_TELL


def test_few_subjects_show_a_loss_but_never_its_absence() -> None:
    cases = cohort(4)

    assert standing(cases, cases, "dice") is Standing.CANNOT_TELL
    assert standing(cases, changed(cases, lambda one: {"dice": one.dice + 0.1}), "dice") is Standing.CANNOT_TELL
    assert standing(cases, changed(cases, lambda one: {"dice": one.dice - 0.1}), "dice") is Standing.WORSE


def test_a_subject_scanned_again_is_no_second_subject() -> None:
    once = cohort(20)
    again = [replace(one, case=f"{one.case}-again") for one in once]
    rng = np.random.default_rng(2)
    noise = {one.subject: rng.normal(0, 0.01) for one in once}

    def noisy(cases: Sequence[Examined]) -> list[Examined]:
        return changed(cases, lambda one: {"dice": one.dice + noise[one.subject]})

    alone, twice = found(once, noisy(once))[ALL, "dice"], found([*once, *again], noisy([*once, *again]))[ALL, "dice"]
    assert twice.subjects == alone.subjects == 20
    assert (twice.low, twice.high) == pytest.approx((alone.low, alone.high))


def test_that_no_case_changed_sides_shows_little_among_few() -> None:
    """The adjusted interval of Bonett and Price is about 1.96 sqrt(2) / (n + 2) to either side of no difference."""
    few, many = (found(cohort(n), cohort(n))[ALL, "coverage"] for n in (12, 60))

    assert few.standing is Standing.CANNOT_TELL
    assert many.standing is Standing.NOT_WORSE
    for one, n in ((few, 12), (many, 60)):
        assert (one.low, one.high) == pytest.approx(
            (-1.96 * math.sqrt(2) / (n + 2), 1.96 * math.sqrt(2) / (n + 2)), abs=1.2 / (n + 2)
        )


def test_a_subgroup_that_loses_is_found_under_a_gain_of_the_whole() -> None:
    cases = [replace(one, groups={"voxels": "thick" if k < 6 else "thin"}) for k, one in enumerate(cohort(40))]
    challenger = changed(cases, lambda one: {"dice": one.dice + (-0.03 if one.groups["voxels"] == "thick" else 0.02)})

    now = found(cases, challenger)

    assert now[ALL, "dice"].standing is Standing.BETTER
    assert now["voxels: thick", "dice"].standing is Standing.WORSE


def test_a_group_that_holds_every_case_or_one_alone_is_no_subgroup() -> None:
    cases = [replace(one, groups={"age": "old", "site": str(k == 0)}) for k, one in enumerate(cohort(12))]

    assert {group for group, _ in found(cases, cases)} == {ALL, "site: False"}


def test_a_score_that_is_missing_is_the_most_doubtful() -> None:
    cases = cohort(15)
    broken = [replace(cases[0], score=math.nan), *cases[1:]]

    difference = found(cases, broken)[ALL, "augrc"]

    loss = np.array([1 - one.dice for one in cases])
    scores = np.array([99.0, *(one.score for one in cases[1:])])
    assert difference.challenger == pytest.approx(augrc(scores, loss))


def test_cases_without_labels_speak_of_coverage_alone() -> None:
    cases = [replace(one, dice=math.nan, counts=None) for one in cohort(12)]

    assert {measure for _, measure in found(cases, cases)} == {"coverage"}


def test_cases_that_a_person_must_see_anyway_do_not_speak_of_coverage() -> None:
    cases = [replace(one, accepted=None) for one in cohort(12)]

    assert "coverage" not in {measure for _, measure in found(cases, cases)}


def test_calibration_is_the_calibration_error_of_the_pooled_counts_meaned_over_structures() -> None:
    rng = np.random.default_rng(3)
    seen = [reliability(p := rng.uniform(size=500), rng.uniform(size=500) < p**2) for _ in range(2)]
    counts = np.stack([one.counts.reshape(BINS, FINE_BINS // BINS, 3).sum(axis=1) for one in seen])

    expected = np.mean([expected_calibration_error(one) for one in seen])
    assert calibration_error(np.stack([counts * 0.25, counts * 0.75])) == pytest.approx(expected)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_difference_that_is_not_a_number_leaves_it_open(measure: str) -> None:
    nothing = Difference(
        group=ALL, measure=measure, subjects=50, live=0.5, challenger=math.nan, gain=math.nan, low=math.nan, high=1.0
    )

    assert nothing.standing is Standing.CANNOT_TELL
