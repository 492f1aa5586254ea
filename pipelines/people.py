"""Who acts at a command line, as the history of live models names them."""

import getpass
import os
from collections.abc import Sequence
from contextlib import closing

from pipelines.settings import Settings
from triage.errors import TriageError
from triage.review import Accounts, Person, Role, open_queue


def who(settings: Settings, by: str | None) -> str:
    """The owner of the review pages that is named, else the account of this machine.

    Nobody signs in at a command line: that it was one is said with the name, so that nobody takes it for proven.
    """
    if by is None:
        return _said_here(_machine_account())
    with closing(open_queue(settings.review_database)) as queue:
        return named_owner(by, Accounts(queue.engine).people())


def named_owner(name: str, people: Sequence[Person]) -> str:
    """The active owner of this name. Raises TriageError when there is none: only owners run models."""
    owners = [person.name for person in people if person.active and person.role is Role.OWNER]
    if name not in owners:
        raise TriageError(
            f"{name} is no active owner of the review pages.",
            do=f"Give --by one of: {', '.join(owners)}." if owners else "Leave --by out: there is no owner yet.",
        )
    return _said_here(name)


def _said_here(name: str) -> str:
    return f"{name} (command line)"


def _machine_account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"
