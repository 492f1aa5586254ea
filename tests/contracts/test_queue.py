"""Every queue keeps the same promises, whatever it is made of."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import a_refused_input
from tests.fakes import InMemoryQueue, tiny_report
from tests.verdicts import BUNDLE, a_refused_report
from triage.errors import Code
from triage.review import ReviewQueue, open_queue
from triage.verdict import Report, Route

OTHER = replace(BUNDLE, version="2.0.0", digest="f" * 64)


class Clock:
    """A minute later at every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture(params=["in_memory", "sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest) -> Iterator[ReviewQueue | InMemoryQueue]:
    if request.param == "in_memory":
        yield InMemoryQueue(clock=Clock())
        return
    with closing(open_queue(request.getfixturevalue(request.param).made(), clock=Clock())) as queue:
        yield queue
        assert queue.verify_audit().broken is None


def waiting(queue: ReviewQueue | InMemoryQueue) -> list[str]:
    return [item.pseudonym for item in queue.open_items()]


def test_nothing_is_decided_before_it_is_settled(queue: ReviewQueue) -> None:
    assert not queue.is_decided("a" * 64, BUNDLE.digest)


def test_a_settled_case_is_decided_for_its_content_under_its_bundle_only(queue: ReviewQueue) -> None:
    queue.settle(tiny_report(content="a" * 64))

    assert queue.is_decided("a" * 64, BUNDLE.digest)
    assert not queue.is_decided("b" * 64, BUNDLE.digest)
    assert not queue.is_decided("a" * 64, OTHER.digest)


@pytest.mark.parametrize("report", [lambda: tiny_report(doubt=2.0), a_refused_report])
def test_every_flagged_and_every_refused_case_waits_for_a_human(
    queue: ReviewQueue, report: Callable[[], Report]
) -> None:
    queue.settle(report())

    assert waiting(queue) == [report().case.pseudonym]


def test_an_accepted_case_does_not_wait(queue: ReviewQueue) -> None:
    queue.settle(tiny_report())

    assert waiting(queue) == []


def test_settling_twice_is_the_same_as_settling_once(queue: ReviewQueue) -> None:
    queue.settle(tiny_report("case-1", doubt=2.0))
    once = queue.open_items()
    queue.settle(tiny_report("case-1", doubt=2.0))

    assert queue.open_items() == once


def test_the_most_doubtful_case_comes_first_and_one_without_a_score_before_all(queue: ReviewQueue) -> None:
    for pseudonym, doubt in [("mild", 1.5), ("nan", math.nan), ("severe", 9.0), ("inf", math.inf)]:
        queue.settle(tiny_report(pseudonym, doubt=doubt))

    assert waiting(queue) == ["nan", "inf", "severe", "mild"]


def test_of_two_equal_doubts_the_one_that_waits_longer_comes_first(queue: ReviewQueue) -> None:
    for pseudonym in ("zoe", "adam", "mia"):
        queue.settle(tiny_report(pseudonym, doubt=2.0))

    assert waiting(queue) == ["zoe", "adam", "mia"]


def test_a_new_decision_on_a_case_takes_the_place_of_the_open_item_and_keeps_its_waiting_time(
    queue: ReviewQueue,
) -> None:
    queue.settle(tiny_report("case-1", doubt=2.0, content="a" * 64))
    (before,) = queue.open_items()
    queue.settle(tiny_report("case-1", doubt=3.0, content="b" * 64))

    (after,) = queue.open_items()
    assert (after.doubt, after.waiting_since) == (3.0, before.waiting_since)


def test_a_case_that_a_new_bundle_accepts_waits_no_longer(queue: ReviewQueue) -> None:
    queue.settle(tiny_report(doubt=2.0))
    queue.settle(tiny_report(bundle=OTHER))

    assert waiting(queue) == []


def test_an_accepted_case_drawn_for_blind_review_waits_as_if_it_were_in_doubt(queue: ReviewQueue) -> None:
    queue.settle(tiny_report("doubtful", doubt=2.0))
    queue.settle(tiny_report("drawn"), blind=True)

    drawn = next(item for item in queue.open_items() if item.pseudonym == "drawn")
    assert (drawn.route, bool(drawn.reason)) == (Route.HUMAN_REVIEW, True)


def test_a_case_in_doubt_stays_one_when_it_is_drawn_for_blind_review(queue: ReviewQueue) -> None:
    queue.settle(tiny_report("doubtful", doubt=2.0), blind=True)

    assert [item.doubt for item in queue.open_items()] == [2.0]


def test_a_decision_that_comes_back_after_another_is_the_current_one_again(queue: ReviewQueue) -> None:
    queue.settle(tiny_report(doubt=2.0))
    queue.settle(tiny_report(bundle=OTHER))
    queue.settle(tiny_report(doubt=2.0))

    assert waiting(queue) == ["case-1"]


def test_a_failure_of_ours_waits_for_a_human_but_is_tried_again(queue: ReviewQueue) -> None:
    refused = a_refused_input("case-1", Code.INTERNAL)
    queue.settle(a_refused_report(refused))

    assert waiting(queue) == ["case-1"]
    assert not queue.is_decided(refused.content_sha256, BUNDLE.digest)


def test_a_failure_that_is_overcome_is_decided(queue: ReviewQueue) -> None:
    queue.settle(a_refused_report(a_refused_input("case-1", Code.INTERNAL, content_sha256="a" * 64)))
    queue.settle(tiny_report(content="a" * 64))

    assert waiting(queue) == []
    assert queue.is_decided("a" * 64, BUNDLE.digest)
