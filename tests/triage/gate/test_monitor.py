"""The live monitor: quiet while the promise holds, loud when it does not, and it never forgets."""

import math

import numpy as np
import pytest

from triage.gate.monitor import FAILURES, LEVEL, Monitor, Stance, stance_at

CALIBRATION = tuple(np.random.default_rng(0).normal(size=60))


def a_monitor(risk: float = 0.05, signals: tuple[str, ...] = ("sharp", "dull")) -> Monitor:
    return Monitor(risk=risk, reference=dict.fromkeys(signals, CALIBRATION))


def see(monitor: Monitor, rng: np.random.Generator, n: int, **shift: float) -> None:
    for _ in range(n):
        monitor.see({name: rng.normal() + shift.get(name, 0) for name in ("sharp", "dull")}, tie=1 - rng.random())


def test_a_monitor_that_saw_nothing_has_no_alarm():
    monitor = a_monitor()

    assert monitor.stance is Stance.AS_SET
    assert sum(monitor.parts.values()) == pytest.approx(1)


def test_cases_like_those_of_calibration_raise_no_alarm():
    monitor = a_monitor()

    see(monitor, np.random.default_rng(1), 600)

    assert monitor.stance is Stance.AS_SET


def test_a_signal_that_drifts_to_the_worse_tightens_and_then_closes_the_gate_and_is_named():
    monitor, rng = a_monitor(), np.random.default_rng(2)
    see(monitor, rng, 300)

    stances = []
    while monitor.stance is not Stance.CLOSED:
        see(monitor, rng, 1, dull=1.5)
        stances.append(monitor.stance)

    assert Stance.TIGHTENED in stances
    assert len(stances) < 60
    assert max(monitor.parts, key=monitor.parts.__getitem__) == "dull"


def test_a_signal_that_gets_better_raises_no_alarm():
    monitor = a_monitor()

    see(monitor, np.random.default_rng(3), 300, sharp=-3.0, dull=-1.0)

    assert monitor.stance is Stance.AS_SET


def test_too_many_failures_in_blind_reviews_close_the_gate():
    monitor = a_monitor(risk=0.05)

    for failed in [False] * 40 + [True, False] * 10:
        monitor.review(failed=failed)

    assert monitor.stance is Stance.CLOSED
    assert max(monitor.parts, key=monitor.parts.__getitem__) == FAILURES


def test_as_many_failures_as_the_risk_allows_raise_no_alarm():
    monitor = a_monitor(risk=0.05)

    for case in range(400):
        monitor.review(failed=case % 20 == 19)

    assert monitor.stance is Stance.AS_SET


def test_an_alarm_does_not_go_away_when_the_signals_recover():
    monitor, rng = a_monitor(), np.random.default_rng(4)
    while monitor.stance is Stance.AS_SET:
        see(monitor, rng, 1, sharp=2.0)
    stance = monitor.stance

    see(monitor, rng, 400, sharp=-1.0)

    assert monitor.evidence < 1 / LEVEL
    assert monitor.stance is stance


def test_cases_without_a_signal_that_the_bundle_gives_are_an_alarm():
    monitor = a_monitor()

    for _ in range(60):
        monitor.see({"sharp": 0.0}, tie=0.5)

    assert monitor.stance is not Stance.AS_SET


def test_evidence_that_is_no_number_closes_the_gate():
    assert stance_at(math.nan) is Stance.CLOSED
    assert stance_at(math.inf) is Stance.CLOSED


def test_it_is_not_slower_than_the_empirical_bernstein_monitor_of_mapie():
    testing = pytest.importorskip("mapie.exchangeability_testing")
    rng = np.random.default_rng(5)
    ours, theirs = [], []
    for _ in range(2):
        failed = rng.random(80) < np.where(np.arange(80) < 30, 0.02, 0.6)
        oracle = testing.RiskMonitoring("accuracy", test_level=LEVEL, threshold=0.05, warn=False)
        oracle.update(np.ones(80, int), np.where(failed, 0, 1))  # half of its level is for the reference, as ours
        monitor = a_monitor(risk=0.05)
        most = []
        for bad in failed:
            monitor.review(failed=bool(bad))
            most.append(monitor.most)
        ours.append(int(np.argmax(np.array(most) >= 1 / LEVEL)))
        theirs.append(int(np.argmax(oracle.online_risk_lower_bound_sequence_history > oracle.threshold)))

    assert min(theirs) >= 30
    assert np.mean(ours) <= np.mean(theirs)


@pytest.mark.parametrize("risk", [0.0, 1.0, math.nan])
def test_a_risk_that_is_no_share_cannot_be_watched(risk):
    with pytest.raises(ValueError, match="risk"):
        a_monitor(risk=risk)
