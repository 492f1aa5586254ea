"""What the database of the queue adds to the contract of a queue."""

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.databases import forked
from tests.fakes import tiny_report
from tests.verdicts import a_refused_report
from triage.errors import TriageError
from triage.review import open_queue


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'review.db'}"


def settle_many(url: str, name: str) -> None:
    with closing(open_queue(url)) as queue:
        for number in range(10):
            queue.settle(tiny_report(f"{name}-{number}", doubt=2.0))


def test_what_was_settled_is_there_after_the_program_ended(tmp_path: Path) -> None:
    with closing(open_queue(address(tmp_path))) as queue:
        queue.settle(a_refused_report())
        before = queue.open_items()

    with closing(open_queue(address(tmp_path))) as queue:
        assert queue.open_items() == before
        assert before[0].doubt == math.inf
        assert before[0].waiting_since.tzinfo is not None


def test_the_database_keeps_a_write_ahead_log_so_that_readers_never_wait(tmp_path: Path) -> None:
    with closing(open_queue(address(tmp_path))):
        pass

    with closing(sqlite3.connect(tmp_path / "review.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_only_its_owner_can_read_the_file_of_the_database(tmp_path: Path) -> None:
    with closing(open_queue(address(tmp_path))) as queue:
        queue.settle(tiny_report())

        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("review.db*")}

    assert modes == {"review.db": 0o600, "review.db-wal": 0o600, "review.db-shm": 0o600}


def test_a_reader_is_served_while_a_writer_holds_the_database(tmp_path: Path) -> None:
    with closing(open_queue(address(tmp_path))) as queue:
        queue.settle(tiny_report(doubt=2.0))
        with closing(sqlite3.connect(tmp_path / "review.db", isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")

            assert len(queue.open_items()) == 1


def test_runs_that_settle_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    runs = [forked(settle_many, address(tmp_path), name) for name in ("a", "b", "c")]
    for run in runs:
        run.join()

    with closing(open_queue(address(tmp_path))) as queue:
        assert [run.exitcode for run in runs] == [0, 0, 0]
        assert len(queue.open_items()) == 30
        assert (queue.verify_audit().rows, queue.verify_audit().broken) == (30, None)


def test_a_settlement_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    with closing(open_queue(address(tmp_path))) as queue:
        queue.settle(tiny_report("case-1", doubt=2.0))
        with closing(sqlite3.connect(tmp_path / "review.db")) as connection:
            connection.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk'); END")

        with pytest.raises(TriageError, match="review database"):
            queue.settle(tiny_report("case-2", doubt=2.0))

        assert [item.pseudonym for item in queue.open_items()] == ["case-1"]


@pytest.mark.parametrize(
    "url", ["not a url", "sqlite:////dev/null/review.db", "postgresql+nodriver://h/d", "mysql://h/d"]
)
def test_a_database_that_cannot_be_opened_is_an_error_that_says_what_to_do(url: str) -> None:
    with pytest.raises(TriageError) as error:
        open_queue(url)

    assert "review database" in str(error.value)
    assert error.value.do
