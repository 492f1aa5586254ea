"""Accounts open by links that work once, with passwords that are nowhere, and wait when somebody guesses."""

import json

import pytest
from sqlalchemy import text

from tests.databases import Databases
from tests.triage.review.desks import PASSWORD, QUICK, Room
from triage.review import Accounts, Role, connect
from triage.review.errors import Incomplete, NotAllowed, NotFound, Taken


def test_the_first_start_gives_a_link_for_the_owner_until_it_was_used(databases: Databases) -> None:
    engine = connect(databases.made())
    accounts = Accounts(engine, hasher=QUICK)
    lost, found = accounts.first_link(), accounts.first_link()
    owner = accounts.redeem(str(found), PASSWORD)

    assert (owner.name, owner.role) == ("owner", Role.OWNER)
    assert accounts.first_link() is None
    assert len(accounts.people()) == 1
    with pytest.raises(NotFound):
        accounts.redeem(str(lost), PASSWORD)
    engine.dispose()


def test_a_person_who_is_invited_sets_a_password_and_is_known_by_it(room: Room) -> None:
    link = room.accounts.invite("nina", Role.REVIEWER, by=room.people["olga"])
    invited = room.accounts.redeem(link, PASSWORD)

    assert room.accounts.log_in("nina", PASSWORD) == invited
    assert invited.role is Role.REVIEWER


def test_a_link_works_once_and_only_the_newest_of_an_account(room: Room) -> None:
    old = room.accounts.reset(room.people["rita"], by=room.people["olga"])
    new = room.accounts.reset(room.people["rita"], by=room.people["olga"])
    with pytest.raises(NotFound):
        room.accounts.redeem(old, "another password")
    room.accounts.redeem(new, "another password")

    with pytest.raises(NotFound):
        room.accounts.redeem(new, "a third password")
    assert room.accounts.log_in("rita", "another password").name == "rita"


def test_a_link_is_void_after_a_day(room: Room) -> None:
    link = room.accounts.invite("late", Role.REVIEWER, by=room.people["olga"])
    room.clock.move(hours=24)

    with pytest.raises(NotFound, match="expired"):
        room.accounts.redeem(link, PASSWORD)


def test_a_new_password_ends_the_sessions_that_are_open(room: Room) -> None:
    before = room.accounts.log_in("rita", PASSWORD)
    room.accounts.redeem(room.accounts.reset(before.id, by=room.people["olga"]), "another password")

    assert room.accounts.person(before.id).session_epoch > before.session_epoch  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "password"), [("rita", "wrong password"), ("nobody", PASSWORD), ("rita", "x" * 5000)])
def test_a_wrong_name_and_a_wrong_password_look_the_same(room: Room, name: str, password: str) -> None:
    with pytest.raises(NotAllowed, match="do not belong together"):
        room.accounts.log_in(name, password)


def test_an_account_that_waits_for_its_first_password_or_is_closed_cannot_be_opened(room: Room) -> None:
    room.accounts.invite("new", Role.REVIEWER, by=room.people["olga"])
    room.accounts.change(room.people["rita"], role=Role.REVIEWER, active=False, by=room.people["olga"])

    for name in ("new", "rita"):
        with pytest.raises(NotAllowed, match="do not belong together"):
            room.accounts.log_in(name, PASSWORD)


def test_after_five_wrong_passwords_an_account_waits_twice_as_long_each_time(room: Room) -> None:
    waits = []
    for _ in range(7):
        with pytest.raises(NotAllowed, match="do not belong together"):
            room.accounts.log_in("rita", "wrong password")
        with room.engine.connect() as connection:
            row = connection.execute(text("SELECT failures, retry_after FROM account WHERE name = 'rita'")).one()
        waits.append(row.failures)
        if row.retry_after is not None:
            with pytest.raises(NotAllowed, match="Too many wrong passwords"):
                room.accounts.log_in("rita", PASSWORD)
            room.clock.move(seconds=2 ** (row.failures - 5))

    assert waits == [1, 2, 3, 4, 5, 6, 7]
    assert room.accounts.log_in("rita", PASSWORD).name == "rita"


def test_only_an_owner_changes_accounts_and_the_last_owner_stays(room: Room) -> None:
    with pytest.raises(NotAllowed, match="Only an owner"):
        room.accounts.invite("friend", Role.OWNER, by=room.people["rita"])
    with pytest.raises(NotAllowed, match="last owner"):
        room.accounts.change(room.people["olga"], role=Role.REVIEWER, active=True, by=room.people["olga"])

    assert room.accounts.person(room.people["olga"]).role is Role.OWNER  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["pipeline", "system", "Rita", "x", "a b", "<b>", "a" * 33, ""])
def test_a_name_that_could_be_taken_for_another_is_refused(room: Room, name: str) -> None:
    with pytest.raises(Incomplete):
        room.accounts.invite(name, Role.REVIEWER, by=room.people["olga"])


def test_a_name_that_exists_is_taken_and_a_short_password_refused(room: Room) -> None:
    link = room.accounts.invite("new", Role.REVIEWER, by=room.people["olga"])

    with pytest.raises(Taken):
        room.accounts.invite("rita", Role.REVIEWER, by=room.people["olga"])
    with pytest.raises(Incomplete):
        room.accounts.redeem(link, "short")


def test_no_password_and_no_link_is_in_the_database(room: Room) -> None:
    link = room.accounts.reset(room.people["rita"], by=room.people["olga"])
    with room.engine.connect() as connection:
        kept = [
            str(row)
            for table in ("account", "one_time_link", "audit")
            for row in connection.execute(text(f"SELECT * FROM {table}"))
        ]

    assert not any(PASSWORD in row or link in row for row in kept)
    assert any("$argon2id$" in row for row in kept)


def test_log_ins_are_audit_rows_and_what_was_typed_for_a_name_is_not(room: Room) -> None:
    room.accounts.log_in("rita", PASSWORD)
    for name in ("rita", "my secret password"):
        with pytest.raises(NotAllowed):
            room.accounts.log_in(name, "wrong password")
    rows = [json.loads(row) for row in room.events()]

    assert [row["event"] for row in rows if row["actor"] == "rita"][-2:] == ["logged_in", "log_in_failed"]
    assert not any("secret" in row for row in room.events())
