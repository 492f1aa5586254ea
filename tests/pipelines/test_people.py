"""Who promotes at a command line: a named owner, or the account of the machine; never taken for a sign-in."""

from pathlib import Path

import pytest

from pipelines.people import named_owner, who
from pipelines.settings import Settings
from triage.errors import TriageError
from triage.review import Person, Role

PEOPLE = (("olga", Role.OWNER, True), ("otto", Role.OWNER, False), ("rita", Role.REVIEWER, True))


def person(name: str, role: Role, active: bool) -> Person:
    return Person(id=1, name=name, role=role, active=active, session_epoch=0, has_password=True)


def test_an_active_owner_is_named_and_that_nobody_signed_in_is_said() -> None:
    assert named_owner("olga", [person(*one) for one in PEOPLE]) == "olga (command line)"


@pytest.mark.parametrize("name", ["otto", "rita", "nobody", ""])
def test_who_is_no_active_owner_is_refused(name: str) -> None:
    with pytest.raises(TriageError, match="no active owner") as caught:
        named_owner(name, [person(*one) for one in PEOPLE])

    assert "olga" in caught.value.do


def test_without_a_name_it_is_the_account_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "marta")

    assert who(Settings(state=tmp_path), None) == "marta (command line)"


def test_before_there_is_an_owner_nobody_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(TriageError, match="no active owner") as caught:
        who(Settings(state=tmp_path), "olga")

    assert "Leave --by out" in caught.value.do
