"""Two readers decide apart; where they disagree, a third who sees both does."""

import numpy as np
import pytest

from tests.triage.review.desks import ACCEPT, REJECT, Room
from triage.review import ReaderVerdict, State
from triage.review.errors import Taken
from triage.review.records import Settled

LABELS = np.ones((4, 4, 4), np.uint8)


def test_a_case_that_two_readers_see_alike_is_decided_by_the_second(double_room: Room) -> None:
    item = double_room.flag("case-1")
    first = double_room.read(item, "rita")
    second = double_room.read(item, "ruth")

    assert isinstance(first, Settled) and (first.state, first.agreement) == (State.OPEN, None)
    assert isinstance(second, Settled) and second.state is State.DECIDED
    assert [(r.by, r.final) for r in double_room.desk.readings()] == [("ruth", True)]


def test_nobody_reads_a_case_twice_and_it_leaves_the_queue_of_who_has_read_it(double_room: Room) -> None:
    item = double_room.flag("case-1")
    double_room.read(item, "rita")

    assert (double_room.waiting("rita"), double_room.waiting("ruth")) == ([], ["case-1"])
    with pytest.raises(Taken, match="You have read this case"):
        double_room.desk.claim(item, account=double_room.people["rita"])


def test_the_second_reader_does_not_see_the_first_and_the_third_sees_both(double_room: Room) -> None:
    item = double_room.flag("case-1")
    double_room.read(item, "rita", REJECT)
    before_second = double_room.desk.case("case-1", account=double_room.people["ruth"])
    own = double_room.desk.case("case-1", account=double_room.people["rita"])
    double_room.read(item, "ruth", ACCEPT)
    before_third = double_room.desk.case("case-1", account=double_room.people["rosa"])

    assert before_second.readings == ()
    assert [noted.reading.by for noted in own.readings] == ["rita"]
    assert {noted.reading.by for noted in before_third.readings} == {"rita", "ruth"}


def test_a_third_reader_settles_what_two_see_differently(double_room: Room) -> None:
    item = double_room.flag("case-1")
    double_room.read(item, "rita", REJECT)
    second = double_room.read(item, "ruth", ACCEPT)
    third = double_room.read(item, "rosa", REJECT)

    assert isinstance(second, Settled) and second.agreement is not None
    assert (second.state, second.agreement.same_verdict) == (State.OPEN, False)
    assert isinstance(third, Settled) and third.state is State.DECIDED
    assert [(r.by, r.verdict) for r in double_room.desk.readings()] == [("rosa", ReaderVerdict.REJECT)]


def test_two_corrections_that_are_alike_agree_and_two_that_are_not_need_a_third(double_room: Room) -> None:
    alike, apart = double_room.flag("alike"), double_room.flag("apart")
    nearly = LABELS.copy()
    nearly[0, 0, 0] = 0
    double_room.correct(alike, "rita", LABELS)
    agreed = double_room.correct(alike, "ruth", nearly)
    double_room.correct(apart, "rita", LABELS)
    disagreed = double_room.correct(apart, "ruth", LABELS * 2)

    assert isinstance(agreed, Settled) and agreed.agreement is not None
    assert (agreed.state, agreed.agreement.dice) == (State.DECIDED, {1: pytest.approx(2 * 63 / (63 + 64))})
    assert isinstance(disagreed, Settled) and disagreed.agreement is not None
    assert (disagreed.state, disagreed.agreement.mean_dice) == (State.OPEN, 0.0)
    assert double_room.desk.agreement(apart) == disagreed.agreement


def test_kappa_over_the_cases_that_two_have_read_is_that_of_their_first_verdicts(double_room: Room) -> None:
    for number, (first, second) in enumerate([(ACCEPT, ACCEPT), (ACCEPT, REJECT), (REJECT, REJECT), (REJECT, REJECT)]):
        item = double_room.flag(f"case-{number}")
        double_room.read(item, "rita", first)
        double_room.read(item, "ruth", second)
    kappa, cases = double_room.desk.kappa()

    expected = (3 / 4 - (2 * 1 + 2 * 3) / 16) / (1 - (2 * 1 + 2 * 3) / 16)
    assert (kappa, cases) == (pytest.approx(expected), 4)
