import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from triage.gate.certify import certify, group_bounds, needed, upper_bound, what_holds

counts = st.integers(1, 400).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m)))
LIMITS = tuple(np.linspace(0.3, 1, 8))


@given(km=counts, delta=st.floats(0.001, 0.5))
def test_at_the_bound_so_few_failures_happen_with_probability_delta(km, delta):
    k, m = km
    bound = upper_bound(k, m, delta)

    if k == m:
        assert bound == 1
    else:
        assert binom.cdf(k, m, bound) == pytest.approx(delta, rel=1e-6)


@pytest.mark.parametrize(("k", "m"), [(0, 29), (1, 60), (5, 40), (39, 40)])
def test_the_bound_is_the_exact_one_sided_interval_of_scipy(k, m):
    interval = binomtest(k, m, alternative="less").proportion_ci(0.95, method="exact")

    assert upper_bound(k, m, 0.05) == pytest.approx(interval.high)


@pytest.mark.parametrize(("risk", "cases"), [(0.10, 29), (0.05, 59), (0.01, 299)])
def test_without_failures_the_published_numbers_of_cases_are_needed(risk, cases):
    assert needed(risk, 0.05) == cases == math.ceil(math.log(0.05) / math.log(1 - risk))


@given(risk=st.floats(0.02, 0.4), delta=st.floats(0.01, 0.3), k=st.integers(0, 6))
@settings(deadline=None)
def test_the_number_needed_is_enough_and_one_less_is_not(risk, delta, k):
    n = needed(risk, delta, k)

    assert upper_bound(k, n, delta) <= risk < upper_bound(k, n - 1, delta)


def test_a_certified_limit_says_what_it_rests_on():
    score = np.arange(60) / 60
    failed = np.arange(60) >= 50

    (level,) = certify(score, failed, {0.1: (0.5, 0.7, 0.8, 0.95)}, delta=0.05)

    assert (level.score_limit, level.accepted, level.failures, level.more) == (0.8, 49, 0, 0)
    assert level.bound == upper_bound(0, 49, 0.05)


def test_too_few_cases_are_refused_and_it_says_how_many_more():
    (level,) = certify(np.zeros(20), np.zeros(20, bool), {0.05: (0.5,)}, delta=0.05)

    assert level.score_limit is None
    assert level.more == 59 - 20


def test_testing_stops_at_the_first_limit_that_is_not_certified():
    score = np.repeat([0.1, 0.2, 0.3], [30, 4, 400])
    failed = np.repeat([False, True, False], [30, 4, 400])

    (level,) = certify(score, failed, {0.1: (0.1, 0.2, 0.3)}, delta=0.05)

    assert upper_bound(4, 434, 0.05) < 0.1
    assert level.score_limit == 0.1


def test_where_every_level_is_refused_the_bound_of_a_first_limit_still_holds():
    score, failed = np.linspace(0, 1, 60), np.arange(60) % 10 == 3
    levels = certify(score, failed, {0.1: (0.5, 0.8), 0.15: (0.6, 0.7)}, delta=0.05)

    held = what_holds(levels)

    m, k = int((score <= 0.6).sum()), int((failed & (score <= 0.6)).sum())
    assert [level.score_limit for level in levels] == [None, None]
    assert (held.score_limit, held.accepted, held.failures) == (0.6, m, k)
    assert held.risk == math.ceil(100 * upper_bound(k, m, 0.025)) / 100


def test_the_bound_of_the_first_limit_is_broken_in_no_more_than_delta_of_the_sets():
    sets, delta, rng = 2000, 0.1, np.random.default_rng(7)
    broken = 0
    for _ in range(sets):
        score = rng.random(60)
        failed = rng.random(60) < 0.5 * score  # among those at or under t a share of 0.25 t fails
        levels = certify(score, failed, {0.01: (0.6, 0.8), 0.02: (0.9,)}, delta)
        held = what_holds(levels)
        broken += 0.25 * held.score_limit > held.risk

    assert broken / sets <= delta + 3 * math.sqrt(delta * (1 - delta) / sets)


def test_a_case_without_a_number_is_never_accepted():
    score = np.array([math.nan, math.inf] * 200)

    (level,) = certify(score, np.zeros(400, bool), {0.1: (1e300,)}, delta=0.05)

    assert (level.score_limit, level.accepted) == (None, 0)


def test_several_levels_spend_one_delta():
    score, failed = np.linspace(0, 1, 300), np.linspace(0, 1, 300) > 0.9

    levels = certify(score, failed, dict.fromkeys((0.05, 0.2, 0.01), LIMITS), delta=0.06)

    assert [level.risk for level in levels] == [0.2, 0.05, 0.01]
    assert [level.delta for level in levels] == pytest.approx([0.02, 0.04, 0.02])  # 0.2 held at every limit


@pytest.mark.parametrize("seed", range(12))
def test_the_limits_are_those_of_mapies_fixed_sequence_controller(seed):
    mapie = pytest.importorskip("mapie.risk_control")
    rng = np.random.default_rng(seed)
    score = rng.uniform(size=160)
    failed = rng.random(160) < 0.5 * score**3
    limits = np.linspace(0.25, 0.95, 15)
    failure_rate = mapie.BinaryRisk(
        risk_occurrence=lambda good, accepted: good == 0,
        risk_condition=lambda good, accepted: accepted == 1,
        higher_is_better=False,
    )
    controller = mapie.BinaryClassificationController(
        lambda x: np.stack([x[:, 0], 1 - x[:, 0]], axis=1),  # MAPIE accepts what is likely good, at or over a threshold
        failure_rate,
        target_level=0.1,
        best_predict_param_choice=failure_rate,
        confidence_level=0.95,
        list_predict_params=1 - limits,
        fwer_method="fixed_sequence",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # An empirical risk that is not monotone, and none that can be certified, are warned of.
        controller.calibrate(score[:, None], ~failed)
    theirs = 1 - np.array(controller.valid_predict_params, float)

    (level,) = certify(score, failed, {0.1: limits}, delta=0.05)

    assert level.score_limit == (pytest.approx(theirs.max()) if len(theirs) else None)


def violations(sets: int, n: int, *, leak: int = 0) -> tuple[int, int]:
    """How many of the simulated calibration sets certified a limit, and how many a limit that breaks the promise.

    A case of score s fails with probability 0.3 s, so among those at or under t a share of 0.15 t does. leak: the score
    is the best of so many that know nothing, chosen on the calibration set itself; then 0.15 fail at any limit.
    """
    rng = np.random.default_rng(5)
    certified = broken = 0
    for _ in range(sets):
        score = rng.random(n)
        failed = rng.random(n) < 0.3 * score
        if leak:
            others = rng.random((leak, n))
            score = others[np.argmin((others[:, failed] < LIMITS[0]).sum(axis=1))]
        (level,) = certify(score, failed, {0.1: LIMITS}, delta=0.1)
        if level.score_limit is not None:
            certified += 1
            broken += 0.15 * (1.0 if leak else level.score_limit) > 0.1
    return certified, broken


def test_the_promise_is_broken_in_no_more_than_delta_of_thousands_of_calibration_sets():
    sets, delta = 2000, 0.1
    certified, broken = violations(sets, 200)

    assert broken / sets <= delta + 3 * math.sqrt(delta * (1 - delta) / sets)
    assert certified > sets / 2  # else it would hold by refusing


def test_a_score_chosen_on_the_calibration_cases_breaks_the_promise():
    sets, delta = 100, 0.1
    _, broken = violations(sets, 200, leak=1000)

    assert broken / sets > 2 * delta


def test_each_group_has_a_bound_of_its_own_and_one_without_enough_cases_is_not_covered():
    failed = np.arange(100) == 99
    groups = {"3 T": np.arange(100) < 60, "1.5 T": (np.arange(100) >= 60) & (np.arange(100) < 70)}

    large, small = group_bounds(groups, failed, risk=0.1, delta=0.05)

    assert (large.accepted, large.failures, large.covered, large.enough) == (60, 0, True, True)
    assert (small.accepted, small.covered, small.enough) == (10, False, False)
    assert small.bound == upper_bound(0, 10, 0.05 / 2)


def test_all_groups_that_are_shown_hold_together():
    n, rate, groups = 1000, 0.3, {str(g): np.arange(200) // 20 == g for g in range(10)}
    rng = np.random.default_rng(0)

    wrong = sum(
        any(one.bound < rate for one in group_bounds(groups, rng.random(200) < rate, risk=0.5, delta=0.05))
        for _ in range(n)
    )

    assert wrong <= binom.ppf(0.999, n, 0.05)
