from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Sqlite, sqlite
from tests.triage.review.desks import Room
from tests.triage.web.house import House
from triage.review import connect

__all__ = ["sqlite"]


@pytest.fixture
def house(sqlite: Sqlite, tmp_path: Path) -> Iterator[House]:
    """The review pages over a database of their own, with the owner olga and the reviewers rita and ruth."""
    engine = connect(sqlite.made())
    room = Room(engine, tmp_path / "corrections")
    room.add("rita", "ruth")
    yield House(room=room, out=tmp_path / "out")
    assert room.queue.verify_audit().broken is None
    engine.dispose()


@pytest.fixture
def case(house: House) -> str:
    """The pseudonym of a flagged case that waits."""
    return house.arrives("bt-flagged2aa")
