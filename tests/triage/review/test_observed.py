"""What the monitor is rebuilt from: each decided case once, each blind verdict, of one bundle."""

import math
from dataclasses import replace

import pytest

from tests.fakes import tiny_report
from tests.triage.review.desks import ACCEPT, REJECT, Room
from tests.verdicts import BUNDLE, a_refused_report
from triage.review import ReaderVerdict
from triage.review.observed import observed

OTHER = replace(BUNDLE, digest="f" * 64)


def contents(letters: str) -> list[str]:
    return [letter * 64 for letter in letters]


def test_accepted_cases_are_seen_in_the_order_of_their_decisions_with_their_signals(room: Room) -> None:
    for letter, doubt in zip("cdab", (0.2, 3.0, 0.9, 0.1), strict=True):
        room.queue.settle(tiny_report(letter, doubt=doubt, content=letter * 64))

    cases = observed(room.engine, BUNDLE.digest, held="monitor").cases

    assert list(cases) == contents("cab")
    assert [values["doubt"] for values in cases.values()] == pytest.approx([0.2, 0.9, 0.1])


def test_a_case_that_only_the_monitor_held_back_had_been_accepted(room: Room) -> None:
    report = tiny_report("a", doubt=2.0, content="a" * 64)
    (reason,) = report.verdict.reasons
    room.queue.settle(replace(report, verdict=replace(report.verdict, reasons=(replace(reason, signal="monitor"),))))

    assert list(observed(room.engine, BUNDLE.digest, held="monitor").cases) == contents("a")


def test_a_signal_that_was_no_number_comes_back_as_such(room: Room) -> None:
    report = tiny_report("a", content="a" * 64)
    (signal,) = report.verdict.signals
    verdict = replace(report.verdict, signals=(signal, replace(signal, name="other", value=math.nan)))
    room.queue.settle(replace(report, verdict=verdict))

    (values,) = observed(room.engine, BUNDLE.digest, held="monitor").cases.values()

    assert math.isnan(values["other"])


def test_a_case_that_was_decided_again_counts_once_and_keeps_its_place(room: Room) -> None:
    for doubt in (0.2, 0.3):
        room.queue.settle(tiny_report("a", doubt=doubt, content="a" * 64))
        room.queue.settle(tiny_report("b", content="b" * 64))

    assert list(observed(room.engine, BUNDLE.digest, held="monitor").cases) == contents("ab")


def test_what_was_refused_or_decided_by_another_bundle_is_not_seen(room: Room) -> None:
    room.queue.settle(a_refused_report())
    room.queue.settle(tiny_report("a", bundle=OTHER))

    seen = observed(room.engine, BUNDLE.digest, held="monitor")

    assert (dict(seen.cases), seen.drawn, seen.verdicts) == ({}, 0, ())


def test_verdicts_are_those_on_accepted_cases_that_were_drawn_and_read(room: Room) -> None:
    for name in ("drawn", "waits"):
        room.queue.settle(tiny_report(name, content=name[0] * 64), blind=True)
    room.read(room.item("drawn"), "rita", REJECT)
    room.read(room.flag("doubtful"), "rita", ACCEPT)

    seen = observed(room.engine, BUNDLE.digest, held="monitor")

    assert (seen.drawn, seen.verdicts) == (2, (ReaderVerdict.REJECT,))


def test_what_a_drawn_case_asks_for_does_not_say_that_it_was_accepted(room: Room) -> None:
    room.queue.settle(tiny_report("drawn"), blind=True)

    (item,) = room.queue.open_items()

    assert item.action.startswith("Second reader")
