"""A gate under watch: the same verdicts while there is no alarm, then fewer acceptances, then none, with a reason."""

import pytest

from tests.builders import a_case
from tests.fakes import FakeEngine, FakeGate, tiny_volume
from triage.gate.monitor import FAILURES, LEVEL, Monitor, Stance
from triage.gate.monitored import MONITOR, MonitoredGate, alarm, tie
from triage.verdict import Route, Verdict


def a_gate(stance: Stance = Stance.AS_SET, driver: str = FAILURES) -> MonitoredGate:
    monitor = Monitor(risk=0.05, reference={"doubt": [0.1] * 60})
    monitor.most = {Stance.AS_SET: 1.0, Stance.TIGHTENED: 1 / LEVEL, Stance.CLOSED: 10 / LEVEL}[stance]
    monitor.driver = driver
    return MonitoredGate(gate=FakeGate(limit=1.0), monitor=monitor, seen=set())


def decided(gate: MonitoredGate, doubt: float, content: str = "a" * 64) -> Verdict:
    prediction = FakeEngine(doubt=doubt).predict(tiny_volume(), seed=0)
    return gate.decide(a_case("case-1", content_sha256=content), prediction)


@pytest.mark.parametrize("doubt", [0.1, 0.9, 1.1])
def test_without_an_alarm_the_verdict_is_that_of_the_gate(doubt):
    prediction = FakeEngine(doubt=doubt).predict(tiny_volume(), seed=0)

    assert decided(a_gate(), doubt) == FakeGate(limit=1.0).decide(a_case("case-1"), prediction)


@pytest.mark.parametrize(
    ("stance", "accepted"), [(Stance.AS_SET, [0.1, 0.5, 0.9]), (Stance.TIGHTENED, [0.1, 0.5]), (Stance.CLOSED, [])]
)
def test_an_alarm_tightens_the_gate_and_then_closes_it(stance, accepted):
    verdicts = {doubt: decided(a_gate(stance), doubt) for doubt in (0.1, 0.5, 0.9)}

    assert [doubt for doubt, verdict in verdicts.items() if verdict.route is Route.ACCEPTED] == accepted


def test_a_case_that_the_monitor_holds_goes_to_a_human_with_the_reason_and_what_to_do():
    verdict = decided(a_gate(Stance.CLOSED), 0.1)

    assert verdict.route is Route.HUMAN_REVIEW
    assert [reason.signal for reason in verdict.reasons] == [MONITOR]
    assert "failed in blind review" in verdict.reasons[0].text
    assert verdict.action.startswith("Second reader")


def test_a_case_that_the_gate_flags_keeps_its_own_reasons():
    verdict = decided(a_gate(Stance.CLOSED), 2.0)

    assert [reason.signal for reason in verdict.reasons] == ["doubt"]


def test_cases_like_no_case_before_close_the_gate_that_accepts_them():
    gate = a_gate()

    routes = [decided(gate, 0.9, content=f"{n:064x}").route for n in range(60)]

    assert routes[0] is Route.ACCEPTED
    assert routes[-1] is Route.HUMAN_REVIEW
    assert gate.monitor.stance is Stance.CLOSED


def test_flagged_cases_are_no_evidence_since_a_human_sees_them_anyway():
    gate = a_gate()
    parts = gate.monitor.parts

    for n in range(60):
        decided(gate, 9.0, content=f"{n:064x}")

    assert gate.monitor.parts == parts


def test_a_case_that_is_decided_again_is_not_counted_again():
    gate = a_gate()
    decided(gate, 0.9)
    parts = gate.monitor.parts

    decided(gate, 0.9)

    assert gate.monitor.parts == parts


def test_the_alarm_names_what_drove_it():
    assert alarm(a_gate().monitor) == ""
    assert "blind review" in alarm(a_gate(Stance.TIGHTENED).monitor)
    assert "“Unclear borders”" in alarm(a_gate(Stance.CLOSED, driver="boundary_entropy").monitor)
    assert "closed" in alarm(a_gate(Stance.CLOSED).monitor)


def test_chance_between_equal_values_repeats_and_is_spread_evenly():
    ties = [tie(f"{n:064x}") for n in range(400)]

    assert ties == [tie(f"{n:064x}") for n in range(400)]
    assert all(0 < one <= 1 for one in ties)
    assert sum(ties) / 400 == pytest.approx(0.5, abs=3 * (1 / 12 / 400) ** 0.5)
