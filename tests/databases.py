"""Databases for the tests of the review: SQLite in a folder, PostgreSQL from a server of the session.

The server is run from Debian's binaries in a folder of its own, and listens on a socket there alone. PostgreSQL refuses
to run as root, so root runs it as `postgres`.
"""

import gc
import multiprocessing
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import create_engine, text

from triage.review import connect
from triage.review.tables import Base

_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=16MB")
_numbers = count()


class Databases(Protocol):
    """Where new databases come from: one with all tables, or one with none."""

    def made(self) -> str: ...

    def empty(self) -> str: ...


class Sqlite:
    """Files in a folder; one with tables is a copy of the first that had them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model = folder / "model.db"

    def made(self) -> str:
        if not self._model.is_file():
            connect(f"sqlite:///{self._model}").dispose()
        path = self._folder / f"{next(_numbers)}.db"
        shutil.copy(self._model, path)
        return f"sqlite:///{path}"

    def empty(self) -> str:
        return f"sqlite:///{self._folder / f'{next(_numbers)}.db'}"


class Postgresql:
    """Databases of one server. The one with all tables is the same for all tests, emptied for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = create_engine(self._address("postgres"), isolation_level="AUTOCOMMIT")
        self._made = self.empty()
        connect(self._made).dispose()
        self._emptying = create_engine(self._made, isolation_level="AUTOCOMMIT")

    def made(self) -> str:
        tables = [table.name for table in reversed(Base.metadata.sorted_tables)]
        without_triggers = "SET session_replication_role = replica"
        with self._emptying.connect() as connection:
            connection.execute(text("; ".join((without_triggers, *(f"DELETE FROM {table}" for table in tables)))))
        return self._made

    def empty(self) -> str:
        name = f"test{next(_numbers)}"
        with self._server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        return self._address(name)

    def close(self) -> None:
        for engine in (self._server, self._emptying):
            engine.dispose()

    def _address(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"


def forked(work: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process that does this work; it has begun.

    It collects no garbage: among what it inherits may be connections to PostgreSQL, and whoever ends one of those takes
    answers that others wait for.
    """

    def alone() -> None:
        gc.disable()
        work(*arguments)

    process = multiprocessing.get_context("fork").Process(target=alone)
    process.start()
    return process


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A server for the session; what needs it is skipped where PostgreSQL is not installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    with _serving(binaries, folder), closing(Postgresql(folder)) as databases:
        yield databases
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Sqlite:
    """A folder of files."""
    return Sqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Each kind of database in turn."""
    found: Databases = request.getfixturevalue(request.param)
    return found


@contextmanager
def _serving(binaries: Path, folder: Path) -> Iterator[None]:
    who = _who(folder)
    data, log = folder / "data", folder / "log"
    made = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL, **who)
    settings = (*_FAST, f"unix_socket_directories={folder}", "listen_addresses=")
    options = [part for setting in settings for part in ("-c", setting)]
    with log.open("wb") as output:
        server = subprocess.Popen([binaries / "postgres", "-D", data, *options], stdout=output, stderr=output, **who)
    try:
        while subprocess.run([binaries / "pg_isready", "-q", "-h", folder], check=False).returncode:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        server.wait(30)


def _binaries() -> Path | None:
    """The newest of Debian's, else those on the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return debian[-1].parent if debian else Path(on_path).parent if on_path else None


def _who(folder: Path) -> dict[str, Any]:
    """Whose processes they are, and their folder."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": folder}
    return {"cwd": folder}
