"""The database of the review: SQLite unless another is named. What differs between databases is here and nowhere else.

One program writes at a time in any of them: SQLite has one lock for it, PostgreSQL is given one. So every method of the
review may be reasoned about as if it were alone, and the audit cannot fork.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from triage.errors import TriageError
from triage.review import audit
from triage.review.migrations import bring_up_to_date

BUSY_TIMEOUT_MS = 30_000
WRITER_LOCK = 0x42545249
"""Key of PostgreSQL's advisory lock that a writer holds until its transaction ends."""

_READS_ONLY = "reads_only"


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def connect(url: str) -> Engine:
    """A database by its URL, with its tables made or brought up to date."""
    try:
        address = make_url(url)
        begin = _BEGIN[address.get_backend_name()]
        engine = create_engine(address, pool_pre_ping=True)
    except (ArgumentError, ImportError, KeyError) as error:
        raise TriageError(
            f"The review database address is not understood ({type(error).__name__}).",
            do="Give it as sqlite:////folder/review.db or postgresql+psycopg://host/database, and install its driver.",
        ) from error
    event.listen(engine, "begin", begin)
    try:
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _set_up_sqlite)
            _make_private(Path(address.database or ""))
        with engine.begin() as connection:
            bring_up_to_date(connection)
    except (SQLAlchemyError, OSError) as error:
        raise _unusable(address, error) from error
    with transaction(engine) as session:
        audit.begin(session)
    return engine


@contextmanager
def transaction(engine: Engine, *, reads_only: bool = False) -> Iterator[Session]:
    """A session that is committed whole or not at all. A reader sees one moment and waits for no writer."""
    options: dict[str, Any] = {_READS_ONLY: reads_only}
    if reads_only and engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with Session(engine.execution_options(**options), expire_on_commit=False) as session, session.begin():
            yield session
    except SQLAlchemyError as error:
        raise _unusable(engine.url, error) from error


def _set_up_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite must not begin transactions of its own: we say BEGIN IMMEDIATE
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _make_private(path: Path) -> None:
    """Notes and password hashes are for the file's owner alone.

    A file that is there is not opened: closing it would drop the locks that this process holds on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if _only_reads(connection) else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if not _only_reads(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")


def _only_reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(_READS_ONLY, False))


_BEGIN = {"sqlite": _begin_sqlite, "postgresql": _begin_postgresql}


def _unusable(url: URL, error: Exception) -> TriageError:
    return TriageError(
        f"The review database ({url.get_backend_name()}) cannot be used ({type(error).__name__}).",
        do="Check that it is there, that you may write to it, that the disk has room and that no program locks it.",
    )
