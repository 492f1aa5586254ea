"""Bets against a claim: fair while it is true, whoever looks and whenever."""

import math
from itertools import permutations

import numpy as np
import pytest

from triage.gate.betting import BETS, Bettors, Ranks, returns_on_failure, returns_on_rank


def test_wealth_is_the_mean_of_bettors_who_begin_at_every_round():
    patience, returns = 7.0, np.random.default_rng(0).gamma(2, 0.5, (12, len(BETS)))
    bettors = Bettors(patience=patience)

    for row in returns:
        bettors.play(row)

    starts = np.arange(1, 13)
    weights = patience / ((patience + starts - 1) * (patience + starts))
    begun = sum(w * returns[start:].prod(axis=0).mean() for start, w in enumerate(weights))
    assert bettors.wealth == pytest.approx(begun + 1 - weights.sum())


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.05, 0.3])
def test_betting_on_failures_gains_on_average_only_if_more_than_the_risk_fail(rate):
    on_failure, on_success = returns_on_failure(np.array([True, False]), 0.05)

    mean = rate * on_failure + (1 - rate) * on_success

    assert np.all(np.sign(np.round(mean - 1, 12)) == np.sign(rate - 0.05))


def test_betting_on_ranks_is_fair_if_they_are_uniform():
    edges = np.linspace(0, 1, 2001)
    middles = (edges[1:] + edges[:-1]) / 2
    exact = np.diff(edges[:, None] ** BETS, axis=0).sum(axis=0)  # the integral of exponent * p ** (exponent - 1)

    assert exact == pytest.approx(np.ones(len(BETS)))
    assert returns_on_rank(middles)[1000] == pytest.approx(np.diff(edges[:, None] ** BETS, axis=0)[1000] * 2000)


def test_over_all_orders_of_the_values_every_sequence_of_ranks_is_equally_frequent():
    found = []
    for order in permutations(range(5)):
        ranks = Ranks(order[:2])
        found.append(tuple(round(ranks.add(value, 1.0), 9) for value in order[2:]))

    assert len(set(found)) == 3 * 4 * 5
    assert all(found.count(sequence) == 2 for sequence in set(found))


def test_equal_values_share_their_ranks_by_chance():
    ranks = Ranks([1.0, 2.0, 2.0, 3.0])

    assert ranks.add(2.0, tie=0.5) == pytest.approx((1 + 0.5 * 3) / 5)


def test_a_value_that_is_no_number_ranks_as_the_worst():
    assert Ranks([1.0, 9.0, 5.0]).add(math.nan, tie=1.0) == pytest.approx(1 / 4)


def test_values_made_better_by_an_increasing_map_never_gain_a_bettor_more():
    rng = np.random.default_rng(1)
    reference, values, ties = rng.normal(size=20), rng.normal(size=40), 1 - rng.random(40)
    as_they_are, better = Ranks(reference), Ranks(reference)

    plain = [as_they_are.add(v, tie) for v, tie in zip(values, ties, strict=True)]
    improved = [better.add(v - 0.3 - 0.1 * np.exp(v), tie) for v, tie in zip(values, ties, strict=True)]

    assert np.all(np.array(improved) >= np.array(plain))


def test_under_a_true_claim_wealth_hardly_ever_reaches_twenty():
    rng = np.random.default_rng(2)
    runs = 2000
    bettors, reached = Bettors(patience=100.0, staked=np.zeros((runs, len(BETS)))), np.zeros(runs, bool)

    for _ in range(500):
        bettors.play(returns_on_rank(1 - rng.random(runs)))
        reached |= bettors.wealth >= 20

    assert reached.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
