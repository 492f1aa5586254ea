import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from triage.gate.score import LEAST_SHARE, Hinges, choose_ridge, fit_weights, hinges, limits_of

NAMES = ("boundary_entropy", "worst_patch", "focal_conflict")


def cases(seed: int, n: int = 120):
    """Parts of three signals, of which only the first tells what fails; who they are of."""
    rng = np.random.default_rng(seed)
    parts = rng.exponential(1, (n, 3))
    return parts, parts[:, 0] + 0.3 * rng.standard_normal(n) > 1.5, [f"s{k % 12}" for k in range(n)]


def test_doubt_begins_at_the_median_of_good_scans_and_is_counted_in_their_spread():
    good = {"boundary_entropy": [1.0, 2.0, 3.0, 6.0], "input_quality": [0.5] * 4}

    found = hinges(good)

    assert found.parts(np.array([[2.5, 0.4], [math.nan, 0.5]]))[0].tolist() == [0.0, 0.0]
    assert found.spread[0] == pytest.approx(np.std(good["boundary_entropy"], ddof=1))
    assert found.spread[1] > 0  # good scans that are all alike tell no spread
    assert math.isnan(found.parts(np.array([[math.nan, 0.5]]))[0, 0])


def test_a_signal_that_tells_failures_weighs_more():
    parts, failed, _ = cases(0)

    weights = fit_weights(parts, failed, 0.01)

    assert weights.argmax() == 0
    assert weights.mean() == pytest.approx(1)


@given(seed=st.integers(0, 50), ridge=st.sampled_from([0.0, 0.01, 1.0]))
@settings(max_examples=15, deadline=None)
def test_every_signal_alone_can_send_a_case_to_a_human(seed, ridge):
    parts, failed, _ = cases(seed, 40)

    weights = fit_weights(parts, failed, ridge)

    assert (weights >= 0.5 * LEAST_SHARE).all()


def test_an_infinite_ridge_is_the_score_of_equal_weights_and_a_large_one_comes_near():
    parts, failed, _ = cases(1)

    assert fit_weights(parts, failed, math.inf).tolist() == [1, 1, 1]
    assert fit_weights(parts, failed, 1e6) == pytest.approx([1, 1, 1], abs=1e-3)


def test_weights_are_where_the_penalised_likelihood_is_highest():
    parts, failed, _ = cases(2)
    weights, ridge = fit_weights(parts, failed, 0.02), 0.02
    x, sign = np.minimum(parts, 10), np.where(failed, 1, -1)

    def best(direction):
        """Over all sizes and offsets of this direction, by brute force."""
        losses = [
            np.logaddexp(0, -sign * (a * (x @ direction) + b)).mean() + ridge * a**2 * ((direction - 1) ** 2).sum()
            for a in np.linspace(0.05, 3, 25)
            for b in np.linspace(-6, 1, 25)
        ]
        return min(losses)

    others = [w / w.mean() for w in weights + np.random.default_rng(0).normal(0, 0.3, (12, 3)).clip(-0.15)]
    assert all(best(weights) <= best(other) + 2e-3 for other in others)


def test_the_ridge_is_chosen_on_subjects_that_were_left_out():
    parts, failed, subjects = cases(3)

    ridge, areas = choose_ridge(parts, failed, subjects)

    assert areas[ridge] == pytest.approx(max(areas.values()), abs=1e-3)
    assert areas[ridge] > areas[math.inf]
    ranks = rankdata(parts @ np.ones(3))  # equal weights need no fit: AUROC by Mann and Whitney's ranks
    n, m = failed.sum(), (~failed).sum()
    assert areas[math.inf] == pytest.approx((ranks[failed].sum() - n * (n + 1) / 2) / (n * m))


def test_on_a_tie_the_simpler_score_is_kept():
    rng = np.random.default_rng(4)
    one = rng.exponential(1, (60, 1))

    ridge, _ = choose_ridge(np.repeat(one, 3, axis=1), one[:, 0] > 1, [f"s{k % 6}" for k in range(60)])

    assert ridge == math.inf


@given(values=st.lists(st.floats(-5, 5), min_size=3, max_size=3), at=st.floats(0.1, 30))
def test_the_parts_of_the_gate_sum_to_the_score_over_its_limit(values, at):
    hinge = Hinges(names=NAMES, typical=np.array([0.0, 1.0, -1.0]), spread=np.array([1.0, 0.5, 2.0]))
    weights = np.array([0.5, 1.0, 1.5])

    limits = limits_of(hinge, weights, at)

    score = float(hinge.parts(np.array([values]))[0] @ weights)
    parts = [limits[name].part(value) for name, value in zip(NAMES, values, strict=True)]
    assert sum(parts) == pytest.approx(score / at, abs=1e-9)
