"""What the audit trail says of a decision, a reading or a live bundle is what the tables hold, or it is found."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.databases import Sqlite
from tests.fakes import tiny_report
from tests.triage.review.desks import ACCEPT, Room, verified
from tests.verdicts import BUNDLE
from triage.review import History, ReviewDesk, connect
from triage.review.records import Filters
from triage.verdict import BundleId

OTHER = BundleId(name="other", version="2.0.0", digest="f" * 64)


@pytest.fixture
def database(sqlite: Sqlite, tmp_path: Path) -> Path:
    """Live, decided, decided anew under another bundle that went live, read: a row of the trail each, in this order."""
    url = sqlite.made()
    engine = connect(url)
    room = Room(engine, tmp_path / "corrections")
    room.add("rita")
    history = History(engine, clock=room.clock)
    for hour, bundle in enumerate((BUNDLE, OTHER)):
        room.clock.move(hours=hour)
        history.go_live(bundle, by="olga", because="Better.")
        room.queue.settle(tiny_report("case-1", doubt=2.0 + hour, bundle=bundle))
    (item,) = (row.item_id for row in room.desk.page(Filters(), account=room.people["rita"]).rows)
    room.read(item, "rita", ACCEPT)
    engine.dispose()
    return Path(url.removeprefix("sqlite:///"))


def test_tables_that_nobody_touched_agree_with_the_trail(database: Path) -> None:
    assert (verified(database).rows, verified(database).broken) == (6, None)


def test_a_reading_agrees_with_its_row_also_on_a_clock_that_does_not_stand_still(
    sqlite: Sqlite, tmp_path: Path
) -> None:
    engine = connect(sqlite.made())
    room = Room(engine, tmp_path / "corrections")
    room.desk = ReviewDesk(engine, corrections=tmp_path / "corrections")

    room.read(room.flag("case-1"), "olga")

    assert room.queue.verify_audit().broken is None
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "row", "what"),
    [
        ("UPDATE decision SET route = 'accepted' WHERE bundle_digest LIKE 'f%'", 4, "decision"),
        ("UPDATE decision SET score = 0.5 WHERE bundle_digest NOT LIKE 'f%'", 2, "decision"),
        ("UPDATE decision SET reasons = '[]'", 2, "decision"),
        ("UPDATE decision SET decided_at = '2025-01-01 08:00:00.000000'", 2, "decision"),
        ("UPDATE decision SET content_sha256 = 'c'", 2, "decision"),
        ("UPDATE reading SET verdict = 'reject', code = 'failed'", 6, "reading"),
        ("UPDATE reading SET account_id = 1", 6, "reading"),
        ("UPDATE reading SET final = 0", 6, "reading"),
        ("DELETE FROM reading", 6, "reading"),
        ("UPDATE live SET because = 'Worse.' WHERE id = 2", 3, "time of being live"),
        ("UPDATE live SET until = '2030-01-01 08:00:00.000000' WHERE id = 1", 1, "time of being live"),
        ("DELETE FROM live WHERE id = 2", 3, "time of being live"),
    ],
)
def test_a_record_that_was_edited_or_deleted_is_found_at_the_row_that_speaks_of_it(
    statement: str, row: int, what: str, database: Path
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(statement)

    broken = verified(database).broken

    assert broken is not None
    assert (broken.sequence, broken.why) == (row, f"the {what} that it speaks of was edited or deleted")


def test_a_record_of_which_no_row_speaks_is_found_behind_the_last_row(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(decision)") if name != "id"]
        taken = ", ".join("'case-2'" if name == "pseudonym" else f'"{name}"' for name in columns)
        names = ", ".join(f'"{name}"' for name in columns)
        connection.execute(f"INSERT INTO decision ({names}) SELECT {taken} FROM decision WHERE id = 1")

    broken = verified(database).broken

    assert broken is not None
    assert (broken.sequence, broken.why) == (7, "a decision is there of which no row speaks")
