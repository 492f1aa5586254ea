"""The database under the queue: SQLite unless another is named. What only SQLite needs is here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from triage.errors import TriageError
from triage.review.tables import Base

BUSY_TIMEOUT_MS = 30_000


def connect(url: str) -> Engine:
    """A database by its URL, with its tables made when they are not there."""
    try:
        address = make_url(url)
        engine = create_engine(address)
    except (ArgumentError, ImportError) as error:
        raise TriageError(
            f"The review database address is not understood ({type(error).__name__}).",
            do="Give it as sqlite:////folder/review.db or postgresql+psycopg://host/database, and install its driver.",
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
    except SQLAlchemyError as error:
        raise _unusable(address, error) from error
    return engine


@contextmanager
def transaction(engine: Engine, *, reads_only: bool = False) -> Iterator[Session]:
    """A session that is committed whole or not at all. A reader sees one moment and waits for no writer."""
    begin = "BEGIN" if reads_only else "BEGIN IMMEDIATE"
    try:
        with Session(engine.execution_options(sqlite_begin=begin)) as session, session.begin():
            yield session
    except SQLAlchemyError as error:
        raise _unusable(engine.url, error) from error


def _set_up_sqlite(connection: Any, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # pysqlite must not begin transactions of its own: we say BEGIN IMMEDIATE
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))


def _unusable(url: URL, error: SQLAlchemyError) -> TriageError:
    return TriageError(
        f"The review database ({url.get_backend_name()}) cannot be used ({type(error).__name__}).",
        do="Check that it is there, that you may write to it, that the disk has room and that no program locks it.",
    )
