"""At the desk nobody decides what another has in hand, nor what is no longer the case."""

import json
import math
import multiprocessing
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.databases import Databases, forked
from tests.fakes import tiny_report
from tests.triage.review.desks import ACCEPT, REJECT, Room
from tests.verdicts import BUNDLE, a_refused_report
from triage.review import ReaderVerdict, ReviewDesk, Role, State, connect
from triage.review.errors import Incomplete, NotAllowed, NotFound, Outdated, Taken
from triage.review.records import Filters, Opinion
from triage.verdict import BundleId, Route

OTHER = BundleId(name="other", version="2.0.0", digest="f" * 64)
LABELS = np.arange(64, dtype=np.uint8).reshape(4, 4, 4) % 12


def decide_at_once(url: str, folder: Path, item: int, account: int, won: "multiprocessing.Queue[int]") -> None:
    desk = ReviewDesk(connect(url), corrections=folder)
    try:
        desk.claim(item, account=account)
        desk.decide(item, ACCEPT, account=account)
        won.put(account)
    except (Taken, Outdated):
        pass


def test_the_queue_shows_the_most_doubtful_first_then_who_waits_longest(room: Room) -> None:
    for pseudonym, doubt in (("mild", 1.5), ("zoe", 3.0), ("adam", 3.0), ("nan", math.nan)):
        room.clock.move(minutes=1)
        room.flag(pseudonym, doubt)

    assert room.waiting() == ["nan", "zoe", "adam", "mild"]


@pytest.mark.parametrize("size", [1, 4])
def test_pages_hold_every_case_once_whatever_their_size_and_whoever_leaves_meanwhile(room: Room, size: int) -> None:
    doubts = (5.0, 3.0, 3.0, math.inf, math.inf, 1.5)
    for number, doubt in enumerate(doubts):
        room.flag(f"case-{number}", doubt)
    whole = room.waiting()
    seen: list[str] = []
    page = room.desk.page(Filters(), account=room.people["olga"], limit=size)
    while True:
        seen += [row.pseudonym for row in page.rows]
        room.read(
            page.rows[-1].item_id, "rita"
        )  # the last of a page leaves; the next page begins after it all the same
        if page.after is None:
            break
        page = room.desk.page(Filters(), account=room.people["olga"], after=page.after, limit=size)

    assert seen == whole
    assert page.after is None


def test_the_queue_counts_by_route_and_by_reason_and_filters_by_both_and_by_pseudonym(room: Room) -> None:
    for pseudonym in ("bt-ab12", "bt-cd34", "bt-ab56"):
        room.flag(pseudonym)
    room.queue.settle(a_refused_report())
    page = room.desk.page(Filters(route=Route.HUMAN_REVIEW), account=room.people["rita"])
    found = room.desk.page(Filters(search=" AB "), account=room.people["rita"])

    assert (len(page.rows), page.waiting) == (3, 3)
    assert page.by_route == {Route.HUMAN_REVIEW: 3, Route.REFUSED: 1}
    assert sum(page.by_signal.values()) == 4 and page.by_signal["doubt"] == 3
    assert ([row.pseudonym for row in found.rows], found.by_signal) == (["bt-ab12", "bt-ab56"], {"doubt": 2})
    assert room.waiting(signal="doubt") == ["bt-ab12", "bt-cd34", "bt-ab56"]
    assert room.waiting(search="%") == room.waiting(search="bt-zz") == []


def test_a_claimed_case_shows_whose_it_is_until_the_lease_ends(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])
    (row,) = room.desk.page(Filters(), account=room.people["ruth"]).rows
    room.clock.move(minutes=16)
    (later,) = room.desk.page(Filters(), account=room.people["ruth"]).rows

    assert (row.claimed_by, later.claimed_by) == ("rita", None)


def test_a_case_in_one_hand_cannot_be_claimed_by_another(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])

    with pytest.raises(Taken, match="rita has this case in hand"):
        room.desk.claim(item, account=room.people["ruth"])


def test_a_lease_that_is_renewed_does_not_end_and_one_that_is_not_does(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])
    room.clock.move(minutes=10)
    room.desk.renew(item, account=room.people["rita"])
    room.clock.move(minutes=10)
    with pytest.raises(Taken):
        room.desk.claim(item, account=room.people["ruth"])
    room.clock.move(minutes=10)
    room.desk.claim(item, account=room.people["ruth"])

    with pytest.raises(Taken, match="do not have this case in hand"):
        room.desk.decide(item, ACCEPT, account=room.people["rita"])
    with pytest.raises(Taken):
        room.desk.renew(item, account=room.people["rita"])


def test_a_lease_past_its_end_still_decides_when_nobody_else_took_the_case(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])
    room.clock.move(hours=9)

    assert room.desk.decide(item, ACCEPT, account=room.people["rita"]).state is State.DECIDED


def test_a_released_case_is_free_at_once_and_only_its_holder_releases_it(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])
    room.desk.release(item, account=room.people["ruth"])
    with pytest.raises(Taken):
        room.desk.claim(item, account=room.people["ruth"])
    room.desk.release(item, account=room.people["rita"])

    assert room.desk.claim(item, account=room.people["ruth"]).by == "ruth"


def test_a_verdict_closes_the_case_and_is_kept_with_who_when_and_why(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])
    room.clock.move(minutes=4)
    room.desk.decide(item, REJECT, account=room.people["rita"])
    (reading,) = room.desk.readings()

    assert room.waiting() == []
    assert (reading.verdict, reading.code, reading.by, reading.final) == (ReaderVerdict.REJECT, "failed", "rita", True)
    assert (reading.at - reading.since).total_seconds() == 240
    assert (reading.pseudonym, reading.decision.bundle) == ("case-1", BUNDLE)


def test_a_case_that_was_not_claimed_cannot_be_decided(room: Room) -> None:
    item = room.flag("case-1")

    with pytest.raises(Taken):
        room.desk.decide(item, ACCEPT, account=room.people["rita"])


def test_a_decided_case_cannot_be_decided_again(room: Room) -> None:
    item = room.flag("case-1")
    room.read(item, "rita")

    with pytest.raises(Outdated):
        room.desk.claim(item, account=room.people["ruth"])
    with pytest.raises(Outdated):
        room.desk.decide(item, ACCEPT, account=room.people["rita"])


def test_a_case_that_a_new_bundle_decided_while_it_was_on_the_screen_must_be_opened_again(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])
    room.queue.settle(tiny_report("case-1", doubt=3.0, bundle=OTHER))

    with pytest.raises(Outdated):
        room.desk.decide(item, ACCEPT, account=room.people["rita"])
    assert room.desk.claim(room.item("case-1"), account=room.people["ruth"]).by == "ruth"


def test_what_a_human_has_read_is_not_asked_again_when_the_same_decision_comes_back(room: Room) -> None:
    room.read(room.flag("case-1"), "rita")
    room.queue.settle(tiny_report("case-1", bundle=OTHER))
    room.queue.settle(tiny_report("case-1", doubt=2.0))

    assert room.waiting() == []


def test_what_a_human_has_read_is_asked_again_when_the_bundle_decides_otherwise(room: Room) -> None:
    room.read(room.flag("case-1"), "rita")
    room.flag("case-1", doubt=4.0)

    assert room.waiting() == ["case-1"]


def test_an_operator_looks_and_does_not_decide_and_a_closed_account_does_neither(room: Room) -> None:
    room.add("otto", role=Role.OPERATOR)
    item = room.flag("case-1")
    room.accounts.change(room.people["ruth"], role=Role.REVIEWER, active=False, by=room.people["olga"])

    assert room.waiting("otto") == ["case-1"]
    with pytest.raises(NotAllowed, match="may look, not decide"):
        room.desk.claim(item, account=room.people["otto"])
    with pytest.raises(NotAllowed, match="closed"):
        room.waiting("ruth")


def test_of_programs_that_decide_one_case_at_the_same_time_one_does(databases: Databases, tmp_path: Path) -> None:
    url = databases.made()
    room = Room(connect(url), tmp_path)
    room.add("rita", "ruth")
    item = room.flag("case-1")
    room.engine.dispose()
    won: multiprocessing.Queue[int] = multiprocessing.get_context("fork").Queue()
    accounts = [room.people[name] for name in ("rita", "ruth", "olga")]
    programs = [forked(decide_at_once, url, tmp_path, item, who, won) for who in accounts]
    for program in programs:
        program.join()

    assert [program.exitcode for program in programs] == [0, 0, 0]
    assert [room.people[reading.by] for reading in room.desk.readings()] == [won.get(timeout=5)]
    assert won.empty()
    room.engine.dispose()


def test_a_correction_is_kept_as_labels_on_the_scanners_grid_and_found_again(room: Room) -> None:
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    item = room.flag("case-1")
    room.desk.claim(item, account=room.people["rita"])
    kept = room.desk.keep_correction(item, LABELS, affine, account=room.people["rita"])
    again = room.desk.keep_correction(item, LABELS, affine, account=room.people["rita"])
    opinion = Opinion(verdict=ReaderVerdict.CORRECT, code="boundary", correction_sha256=kept.sha256)
    room.desk.decide(item, opinion, account=room.people["rita"])
    image = nib.load(room.folder / kept.path)

    assert again == kept
    assert room.desk.readings()[0].correction == kept
    np.testing.assert_array_equal(np.asarray(image.dataobj), LABELS)
    np.testing.assert_allclose(image.affine, affine)


def test_a_correction_of_another_case_cannot_be_decided_with(room: Room) -> None:
    first, second = room.flag("case-1"), room.flag("case-2")
    room.desk.claim(first, account=room.people["rita"])
    room.desk.claim(second, account=room.people["rita"])
    kept = room.desk.keep_correction(first, LABELS, np.eye(4), account=room.people["rita"])
    opinion = Opinion(verdict=ReaderVerdict.CORRECT, code="boundary", correction_sha256=kept.sha256)

    with pytest.raises(Incomplete, match="was not kept for this case"):
        room.desk.decide(second, opinion, account=room.people["rita"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": ReaderVerdict.ACCEPT, "code": "motion"},
        {"verdict": ReaderVerdict.CORRECT, "code": "boundary"},
        {"verdict": ReaderVerdict.REJECT, "code": "failed", "correction_sha256": "0" * 64},
        {"verdict": ReaderVerdict.ACCEPT, "code": "right", "note": "x" * 4001},
    ],
)
def test_a_verdict_without_its_code_or_its_correction_is_no_verdict(wrong: dict[str, object]) -> None:
    with pytest.raises(Incomplete):
        Opinion(**wrong)  # type: ignore[arg-type]


def test_every_view_claim_correction_and_verdict_is_an_audit_row_and_none_holds_the_note(room: Room) -> None:
    item = room.flag("case-1")
    room.desk.case("case-1", account=room.people["rita"])
    room.desk.view("entropy.nii.gz", account=room.people["rita"], pseudonym="case-1")
    room.desk.claim(item, account=room.people["rita"])
    room.desk.keep_correction(item, LABELS, np.eye(4), account=room.people["rita"])
    room.desk.decide(item, REJECT, account=room.people["rita"])
    rows = [json.loads(row) for row in room.events()]
    of_rita = [row["event"] for row in rows if row["actor"] == "rita"]

    assert of_rita == ["viewed", "viewed", "claimed", "correction_kept", "read"]
    assert not any("Strange" in row for row in room.events())
    assert "Strange" not in repr(room.desk.case("case-1", account=room.people["rita"]))


def test_a_case_shows_its_decisions_and_its_readings_newest_first(room: Room) -> None:
    room.read(room.flag("case-1"), "rita", REJECT)
    room.clock.move(hours=1)
    room.queue.settle(tiny_report("case-1", doubt=3.0, bundle=OTHER))
    case = room.desk.case("case-1", account=room.people["ruth"])

    assert [(d.bundle, d.current) for d in case.decisions] == [(OTHER, True), (BUNDLE, False)]
    assert [(r.reading.verdict, r.note) for r in case.readings] == [(ReaderVerdict.REJECT, "Ask Dr Strange.")]
    assert case.item is not None and case.item.state is State.OPEN


def test_a_case_that_is_not_there_is_not_found(room: Room) -> None:
    with pytest.raises(NotFound):
        room.desk.case("case-9", account=room.people["rita"])


def test_nothing_that_the_queue_shows_tells_a_blind_case_from_one_in_doubt(room: Room) -> None:
    for number in range(3):
        room.flag(f"case-{number}", 2.0 + number)
    room.queue.settle(tiny_report("drawn"), blind=True)
    rows = {row.pseudonym: row for row in room.desk.page(Filters(), account=room.people["rita"]).rows}
    drawn, flagged = rows["drawn"], rows["case-0"]
    doubts = [row.doubt for row in rows.values()]

    assert (drawn.route, drawn.signal, drawn.reason) == (flagged.route, flagged.signal, flagged.reason)
    assert 1.0 < drawn.doubt < 4.0 and len(set(doubts)) == 4
    case = room.desk.case("drawn", account=room.people["rita"])
    assert case.item is not None and case.item.blind


def test_readings_of_blind_cases_can_be_had_alone_and_by_time(room: Room) -> None:
    room.read(room.flag("flagged"), "rita")
    first = room.clock.now
    room.clock.move(hours=1)
    room.queue.settle(tiny_report("drawn"), blind=True)
    room.read(room.item("drawn"), "rita")

    assert [r.pseudonym for r in room.desk.readings(kind=room.desk.readings()[1].kind)] == ["drawn"]
    assert [r.pseudonym for r in room.desk.readings(since=first)] == ["drawn"]
    assert [r.pseudonym for r in room.desk.readings()] == ["flagged", "drawn"]
