"""Which model was live on a date, and what each decided."""

from datetime import timedelta

import pytest

from tests.fakes import tiny_report
from tests.triage.review.desks import Room
from tests.verdicts import BUNDLE
from triage.errors import TriageError
from triage.review import History
from triage.verdict import BundleId

OTHER = BundleId(name="other", version="2.0.0", digest="f" * 64)


def test_the_bundle_that_was_live_at_a_moment_is_known_to_the_moment(room: Room) -> None:
    history = History(room.engine, clock=room.clock)
    began = room.clock.now
    history.go_live(BUNDLE, by="olga", because="The first.")
    room.clock.move(days=1)
    history.go_live(OTHER, by="olga", because="Better.", mlflow_version="7")
    instant = timedelta(microseconds=1)
    live = [history.live_at(began + after) for after in (-instant, timedelta(), timedelta(days=1) - instant)]

    assert [row.bundle if row else None for row in live] == [None, BUNDLE, BUNDLE]
    assert (now := history.live()) is not None
    assert (now.bundle, now.mlflow_version, now.because) == (OTHER, "7", "Better.")
    assert (now.since, now.until) == (began + timedelta(days=1), None)


def test_going_live_again_changes_nothing_and_going_back_is_a_new_entry(room: Room) -> None:
    history = History(room.engine, clock=room.clock)
    for bundle in (BUNDLE, BUNDLE, OTHER, BUNDLE):
        room.clock.move(days=1)
        history.go_live(bundle, by="olga", because="So be it.")
    rows = history.lives()

    assert [row.bundle for row in rows] == [BUNDLE, OTHER, BUNDLE]
    assert [row.until for row in rows] == [rows[1].since, rows[2].since, None]
    assert sum('"event":"live"' in row for row in room.events()) == 3


def test_every_case_decided_by_a_bundle_is_found_also_when_another_decided_later(room: Room) -> None:
    room.flag("case-1")
    room.queue.settle(tiny_report("case-2"))
    room.clock.move(days=1)
    room.queue.settle(tiny_report("case-1", bundle=OTHER))
    history = History(room.engine)

    assert [case.pseudonym for case in history.decided_by(BUNDLE.digest)] == ["case-1", "case-2"]
    assert [case.pseudonym for case in history.decided_by(OTHER.digest[:8])] == ["case-1"]


def test_what_decided_last_before_a_moment_is_known_also_when_the_case_was_decided_again(room: Room) -> None:
    began = room.clock.now
    room.queue.settle(tiny_report("case-1"))
    room.clock.move(days=1)
    room.queue.settle(tiny_report("case-1", bundle=OTHER))
    room.clock.move(days=1)
    room.queue.settle(tiny_report("case-1", doubt=2.0))
    history = History(room.engine)
    moments = [began + timedelta(days=days) for days in (-1, 0, 0.5, 1, 2)]

    found = [history.last_decision(moment) for moment in moments]

    assert [one and one.bundle for one in found] == [None, BUNDLE, BUNDLE, OTHER, BUNDLE]
    assert [one and one.at for one in found] == [None, moments[1], moments[1], moments[3], moments[4]]


@pytest.mark.parametrize("digest", ["", "f" * 7, "0" * 64, "%" * 8])
def test_a_digest_that_names_no_one_bundle_is_an_error_that_says_so(room: Room, digest: str) -> None:
    room.queue.settle(tiny_report("case-1", bundle=OTHER))

    with pytest.raises(TriageError, match="Give at least 8 characters"):
        History(room.engine).decided_by(digest)
