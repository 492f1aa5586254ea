"""Waits against limits known in closed form, against the balance equations solved, and against a simulated queue."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import simpy

from triage.capacity import Team, chance_of_waiting, mean_waits, reviewers_needed

HOURLY = (3.0, 5.0, 4.0)
TEAM = Team(reviewers=2, minutes=8.0)


def balanced_waits(high: float, low: float, *, servers: int, rate: float, deepest: int) -> tuple[float, float]:
    """Mean waits of two classes from the balance equations of the Markov chain, cut off at `deepest` in a queue.

    States: j < servers busy and nobody waits; else (n, m) wait. high, low, rate: an hour. Waits in minutes, by Little.
    """
    states = [(busy, 0, 0) for busy in range(servers)]
    states += [(servers, n, m) for n in range(deepest) for m in range(deepest)]
    number = {state: index for index, state in enumerate(states)}
    flow = np.zeros((len(states), len(states)))

    def move(state: tuple[int, int, int], to: tuple[int, int, int], speed: float) -> None:
        if to in number:
            flow[number[state], number[to]] += speed

    for busy, n, m in states:
        if busy < servers:
            move((busy, 0, 0), (busy + 1, 0, 0), high + low)
            move((busy, 0, 0), (busy - 1, 0, 0), busy * rate)
            continue
        move((busy, n, m), (busy, n + 1, m), high)
        move((busy, n, m), (busy, n, m + 1), low)
        after = (busy, n - 1, m) if n else (busy, n, m - 1) if m else (busy - 1, 0, 0)
        move((busy, n, m), after, servers * rate)
    np.fill_diagonal(flow, -flow.sum(axis=1))
    equations = np.vstack([flow.T[1:], np.ones(len(states))])
    chance = np.linalg.solve(equations, np.eye(len(states))[-1])
    waiting = np.array([(n, m) for _, n, m in states])
    return tuple(60 * chance @ waiting / (high, low))  # type: ignore[return-value]


def simulated_waits(hourly: Sequence[float], team: Team, *, cases: int, seed: int) -> tuple[float, ...]:
    """Mean waits by class of a simulated desk that orders its queue by a continuous doubt, most doubtful first.

    A class is a band of doubt that holds its share of the arrivals, so the classes are cut out afterwards.
    """
    rng = np.random.default_rng(seed)
    edges = np.cumsum(hourly) / sum(hourly)
    doubts, gaps = rng.random(cases), rng.exponential(60 / sum(hourly), cases)
    readings = rng.exponential(team.minutes, cases)
    waits = np.zeros(cases)
    world = simpy.Environment()
    desk = simpy.PriorityResource(world, capacity=team.reviewers)

    def read(case: int):
        arrived = world.now
        with desk.request(priority=doubts[case]) as turn:  # simpy serves the smallest number first
            yield turn
            waits[case] = world.now - arrived
            yield world.timeout(readings[case])

    def arrive():
        for case in range(cases):
            yield world.timeout(gaps[case])
            world.process(read(case))

    world.process(arrive())
    world.run()
    return tuple(float(waits[np.searchsorted(edges, doubts) == k].mean()) for k in range(len(hourly)))


@pytest.mark.parametrize("busy", [0.1, 0.5, 0.9])
def test_one_reviewer_who_is_busy_a_share_b_lets_an_arrival_wait_with_chance_b_for_b_over_1_minus_b_readings(busy):
    (wait,) = mean_waits([6 * busy], Team(reviewers=1, minutes=10.0))

    assert chance_of_waiting(busy, 1) == pytest.approx(busy)
    assert wait == pytest.approx(10 * busy / (1 - busy))


def test_the_chance_of_waiting_is_erlangs_sum():
    load, servers = 3.3, 5
    terms = [load**k / math.factorial(k) for k in range(servers)]
    all_busy = load**servers / math.factorial(servers) * servers / (servers - load)

    assert chance_of_waiting(load, servers) == pytest.approx(all_busy / (sum(terms) + all_busy))


def test_two_classes_wait_as_the_balance_equations_say():
    team = Team(reviewers=3, minutes=15.0)

    expected = balanced_waits(2.5, 4.0, servers=3, rate=4.0, deepest=28)

    assert mean_waits([2.5, 4.0], team) == pytest.approx(expected, rel=1e-3)


def test_the_mean_over_all_arrivals_is_that_of_first_come_first_served():
    waits = mean_waits(HOURLY, TEAM)

    together = np.average(waits, weights=HOURLY)

    assert together == pytest.approx(mean_waits([sum(HOURLY)], TEAM)[0])
    assert waits[0] < waits[1] < waits[2]


def test_bands_of_a_queue_ordered_by_doubt_wait_as_classes_do():
    runs = [simulated_waits(HOURLY, TEAM, cases=4000, seed=seed) for seed in range(6)]

    means, errors = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1) / math.sqrt(len(runs))

    assert np.all(np.abs(means - mean_waits(HOURLY, TEAM)) < 4 * errors)


def test_of_too_many_arrivals_only_those_served_first_are_read_in_finite_time():
    first, last = mean_waits([6.0, 20.0], Team(reviewers=1, minutes=6.0))

    assert first == pytest.approx(6.0 / (1 - 0.6))  # the reviewer is never idle, so the wait begins with a reading
    assert last == math.inf


def test_the_fewest_reviewers_are_those_whose_queue_does_not_grow():
    for an_hour in (0.0, 9.9, 10.0, 25.0):
        needed = reviewers_needed(an_hour, minutes=6.0)

        assert mean_waits([an_hour], Team(reviewers=needed, minutes=6.0))[0] < math.inf
        assert needed == 1 or mean_waits([an_hour], Team(reviewers=needed - 1, minutes=6.0))[0] == math.inf


@pytest.mark.parametrize(("reviewers", "minutes"), [(0, 6.0), (2, 0.0), (2, math.nan), (2, math.inf)])
def test_a_team_without_reviewers_or_reading_time_cannot_be_built(reviewers, minutes):
    with pytest.raises(ValueError, match="reviewers"):
        Team(reviewers=reviewers, minutes=minutes)


def test_one_reviewer_waits_as_multi_qucad_computes_it():
    """DIDSR's multi-QuCAD without interruption: Raicu et al. 2023, AppliedMath 3, eq. 21, from second moments."""
    rates, mean = np.array([0.02, 0.03, 0.03]), 10.0  # a minute; its default load of 0.8 and reading time
    second_moment = 2 * mean**2
    through = np.cumsum(rates * mean)
    before = through - rates * mean

    expected = rates.sum() * second_moment / 2 / ((1 - before) * (1 - through))

    assert mean_waits(60 * rates, Team(reviewers=1, minutes=mean)) == pytest.approx(expected)
