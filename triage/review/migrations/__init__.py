"""The schema of the review database, version by version: a database of any older version is brought up to date.

A version, once released, is never edited: what changes the tables is a new file in `versions/`.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from triage.errors import TriageError

FIRST, HEAD = "0001", "0003"


def bring_up_to_date(connection: Connection) -> None:
    """Run what is missing, in the caller's transaction. Raises TriageError for a database of a newer program.

    A database without a version is empty, or of the first schema, which knew no versions.
    """
    seen = inspect(connection)
    versioned = seen.has_table("alembic_version")
    found = connection.scalar(text("SELECT version_num FROM alembic_version")) if versioned else None
    if found == HEAD:
        return
    from alembic import command  # a quarter of a second, which a database that is up to date does not cost
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    if found is None and seen.has_table("decision"):
        command.stamp(config, FIRST)
    try:
        command.upgrade(config, HEAD)
    except CommandError as error:
        raise TriageError(
            f"The review database has the schema {found}; this program knows schemas up to {HEAD}.",
            do="Update brain-triage, or name another database.",
        ) from error
