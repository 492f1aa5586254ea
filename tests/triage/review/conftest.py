from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Databases, databases, postgresql, sqlite
from tests.triage.review.desks import Room
from triage.review import connect

__all__ = ["databases", "postgresql", "sqlite"]


@pytest.fixture
def room(databases: Databases, tmp_path: Path) -> Iterator[Room]:
    """A desk where each case is read once, with the owner olga and the reviewers rita and ruth."""
    engine = connect(databases.made())
    room = Room(engine, tmp_path / "corrections")
    room.add("rita", "ruth")
    yield room
    assert room.queue.verify_audit().broken is None
    engine.dispose()


@pytest.fixture
def double_room(databases: Databases, tmp_path: Path) -> Iterator[Room]:
    """A desk where each case is read twice, with the owner olga and three reviewers."""
    engine = connect(databases.made())
    room = Room(engine, tmp_path / "corrections", double=True)
    room.add("rita", "ruth", "rosa")
    yield room
    assert room.queue.verify_audit().broken is None
    engine.dispose()
