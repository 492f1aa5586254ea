"""A database of any older schema becomes what the tables say, with all that it held."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DatabaseError

from tests.databases import Databases, forked
from tests.triage.review.first_schema import make_first_schema
from triage.errors import TriageError
from triage.review import connect, open_queue
from triage.review.migrations import HEAD
from triage.review.tables import Base


@pytest.fixture
def first(databases: Databases) -> str:
    """Address of a database of the first schema."""
    url = databases.empty()
    engine = create_engine(url)
    with engine.begin() as connection:
        make_first_schema(connection)
    engine.dispose()
    return url


@pytest.fixture
def upgraded(first: str) -> Iterator[Engine]:
    engine = connect(first)
    yield engine
    engine.dispose()


def described(engine: Engine) -> dict[str, object]:
    """Columns, keys and indices of every table, in the words of the database."""
    seen = inspect(engine)
    indices = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    if engine.dialect.name == "sqlite":
        indices = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    with engine.connect() as connection:
        found: dict[str, object] = {"indices": sorted(connection.scalars(text(indices)))}
    for table in sorted(set(seen.get_table_names()) - {"alembic_version"}):
        columns = {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in seen.get_columns(table)}
        unique = sorted(tuple(c["column_names"]) for c in seen.get_unique_constraints(table))
        keys = sorted((*k["constrained_columns"], k["referred_table"]) for k in seen.get_foreign_keys(table))
        found[table] = (columns, seen.get_pk_constraint(table)["constrained_columns"], unique, keys)
    return found


def open_and_close(url: str) -> None:
    open_queue(url).close()


def test_the_first_schema_becomes_exactly_the_tables_of_today(upgraded: Engine, databases: Databases) -> None:
    today = create_engine(databases.empty())
    Base.metadata.create_all(today)

    assert described(upgraded) == described(today)
    today.dispose()


def test_a_new_database_gets_exactly_the_tables_of_today(databases: Databases) -> None:
    today = create_engine(databases.empty())
    Base.metadata.create_all(today)
    new = connect(databases.made())

    assert described(new) == described(today)
    today.dispose()
    new.dispose()


def test_alembic_finds_nothing_left_to_migrate(upgraded: Engine) -> None:
    with upgraded.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

        assert compare_metadata(context, Base.metadata) == []


def test_what_waited_waits_still_with_its_reason_and_the_audit_is_whole(first: str) -> None:
    with closing(open_queue(first)) as queue:
        items = {item.pseudonym: (item.route.value, item.reason, item.doubt) for item in queue.open_items()}

        assert items == {
            "bt-flagged": ("human_review", "One place is unclear.", 2.5),
            "bt-refused": ("refused", "One place is unclear.", float("inf")),
        }
        assert (queue.verify_audit().rows, queue.verify_audit().broken) == (4, None)


def test_every_old_item_is_a_case_in_doubt_with_the_route_of_its_own_decision(upgraded: Engine) -> None:
    with upgraded.connect() as connection:
        rows = connection.execute(text("SELECT state, kind, route, signal FROM review_item ORDER BY id")).all()

    assert [tuple(row) for row in rows] == [
        ("open", "doubt", "human_review", "worst_patch"),
        ("superseded", "doubt", "refused", "worst_patch"),
        ("open", "doubt", "refused", "worst_patch"),
    ]


def test_programs_that_open_an_old_database_at_the_same_time_take_turns(first: str) -> None:
    programs = [forked(open_and_close, first) for _ in range(3)]
    for program in programs:
        program.join()

    assert [program.exitcode for program in programs] == [0, 0, 0]
    with closing(open_queue(first)) as queue:
        assert len(queue.open_items()) == 2


def test_a_database_of_a_newer_program_is_refused_with_words_and_left_as_it_is(first: str) -> None:
    url = first
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(TriageError, match=rf"schema 9999; .* up to {HEAD}.*Update brain-triage"):
        open_queue(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    engine.dispose()


@pytest.mark.parametrize("statement", ["UPDATE audit SET content = '{}'", "DELETE FROM audit WHERE sequence = 2"])
def test_an_upgraded_database_refuses_to_change_or_delete_an_audit_row(upgraded: Engine, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), upgraded.begin() as connection:
        connection.execute(text(statement))


def test_postgresql_refuses_to_empty_the_audit(postgresql: Databases) -> None:
    engine = connect(postgresql.made())

    with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
        connection.execute(text("TRUNCATE audit"))
    engine.dispose()
