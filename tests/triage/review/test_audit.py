"""The audit trail tells when somebody touched it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.databases import Sqlite
from tests.fakes import tiny_report
from tests.triage.review.desks import verified
from triage.review import open_queue
from triage.review.audit import GENESIS, link

ROWS = 5


@pytest.fixture
def database(sqlite: Sqlite) -> Path:
    """A review database with five decisions."""
    url = sqlite.made()
    with closing(open_queue(url)) as queue:
        for number in range(ROWS):
            queue.settle(tiny_report(f"case-{number}", doubt=2.0))
    return Path(url.removeprefix("sqlite:///"))


@pytest.fixture
def intruder(database: Path) -> Iterator[sqlite3.Connection]:
    """Somebody who may write to the file and takes the triggers away."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER audit_no_update")
        connection.execute("DROP TRIGGER audit_no_delete")
        yield connection


def broken_at(database: Path) -> tuple[int, str]:
    broken = verified(database).broken
    assert broken is not None
    return broken.sequence, broken.why


def test_an_untouched_trail_is_whole(database: Path) -> None:
    state = verified(database)

    assert (state.rows, state.broken) == (ROWS, None)


def test_the_trail_has_one_row_a_decision_with_its_case_bundle_route_and_reasons(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        contents = [content for (content,) in connection.execute("SELECT content FROM audit")]

    assert len(contents) == ROWS
    assert all(key in contents[0] for key in ("case-0", "human_review", "in doubt", "pipeline", "decided", "at"))


@pytest.mark.parametrize("statement", ["UPDATE audit SET content = '{}'", "DELETE FROM audit WHERE sequence = 2"])
def test_the_database_itself_refuses_to_change_or_delete_a_row(database: Path, statement: str) -> None:
    with (
        closing(sqlite3.connect(database)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("row", range(1, ROWS + 1))
def test_an_edited_row_is_found(database: Path, intruder: sqlite3.Connection, row: int) -> None:
    intruder.execute(
        "UPDATE audit SET content = replace(content, 'human_review', 'accepted') WHERE sequence = ?", (row,)
    )

    assert broken_at(database) == (row, "the row was edited")


@pytest.mark.parametrize("row", range(1, ROWS))
def test_a_deleted_row_is_found(database: Path, intruder: sqlite3.Connection, row: int) -> None:
    intruder.execute("DELETE FROM audit WHERE sequence = ?", (row,))

    assert broken_at(database) == (row, "the row is missing")


def test_deleted_last_rows_are_found(database: Path, intruder: sqlite3.Connection) -> None:
    intruder.execute("DELETE FROM audit WHERE sequence > 3")

    assert broken_at(database) == (4, "the last rows are missing")


@pytest.mark.parametrize("columns", [("content",), ("content", "sha256"), ("content", "sha256", "previous_sha256")])
def test_two_exchanged_rows_are_found(database: Path, intruder: sqlite3.Connection, columns: tuple[str, ...]) -> None:
    names = ", ".join(columns)
    rows = dict.fromkeys((2, 3))
    for row in rows:
        rows[row] = intruder.execute(f"SELECT {names} FROM audit WHERE sequence = ?", (row,)).fetchone()
    setters = ", ".join(f"{name} = ?" for name in columns)
    for row, other in ((2, 3), (3, 2)):
        intruder.execute(f"UPDATE audit SET {setters} WHERE sequence = ?", (*rows[other], row))

    assert broken_at(database)[0] == 2


def test_a_row_deleted_with_all_later_ones_renumbered_is_found(database: Path, intruder: sqlite3.Connection) -> None:
    intruder.execute("DELETE FROM audit WHERE sequence = 2")
    intruder.execute("UPDATE audit SET sequence = sequence - 1 WHERE sequence > 2")

    assert broken_at(database)[0] == 2


def test_an_inserted_row_is_found(database: Path, intruder: sqlite3.Connection) -> None:
    intruder.execute(
        "INSERT INTO audit SELECT sequence + 1, content, previous_sha256, sha256 FROM audit WHERE sequence = 5"
    )

    assert broken_at(database)[0] == 6


def test_settling_the_same_decision_again_adds_no_row(database: Path) -> None:
    with closing(open_queue(f"sqlite:///{database}")) as queue:
        queue.settle(tiny_report("case-0", doubt=2.0))

    assert verified(database).rows == ROWS


def test_a_decision_that_changes_is_added_and_the_old_row_stays(database: Path) -> None:
    with closing(open_queue(f"sqlite:///{database}")) as queue:
        queue.settle(tiny_report("case-0"))

    with closing(sqlite3.connect(database)) as connection:
        rows = [content for (content,) in connection.execute("SELECT content FROM audit WHERE content LIKE '%case-0%'")]
    assert ["decided_again" in row for row in rows] == [False, True]
    assert verified(database).broken is None


def test_the_head_moves_with_every_decision(database: Path) -> None:
    with closing(open_queue(f"sqlite:///{database}")) as queue:
        before = queue.audit_head()
        queue.settle(tiny_report("case-new"))

        assert queue.audit_head() not in ("", before)
        assert queue.audit_head() == queue.verify_audit().head


def test_a_trail_written_anew_from_a_row_on_is_found_by_a_head_that_was_noted_before(
    database: Path, intruder: sqlite3.Connection
) -> None:
    heads = [row for (row,) in intruder.execute("SELECT sha256 FROM audit WHERE sequence IN (2, 4) ORDER BY sequence")]
    intruder.execute("UPDATE decision SET route = 'accepted' WHERE pseudonym = 'case-2'")
    intruder.execute("UPDATE audit SET content = replace(content, 'human_review', 'accepted') WHERE sequence = 3")
    rows = intruder.execute("SELECT sequence, content, previous_sha256 FROM audit ORDER BY sequence").fetchall()
    previous = rows[0][2]
    for sequence, content, _ in rows:
        digest = link(sequence, content, previous)
        setters = "previous_sha256 = ?, sha256 = ? WHERE sequence = ?"
        intruder.execute(f"UPDATE audit SET {setters}", (previous, digest, sequence))
        previous = digest
    intruder.execute("UPDATE audit_head SET sha256 = ?", (previous,))

    assert verified(database).broken is None
    broken = verified(database, *heads).broken
    assert broken is not None
    assert broken.sequence == 3
    assert "a head noted earlier is not in it" in broken.why


def test_a_trail_that_holds_every_noted_head_is_whole_also_the_head_of_an_empty_one(database: Path) -> None:
    head = verified(database).head

    state = verified(database, GENESIS, head)

    assert (state.noted, state.broken) == (2, None)
