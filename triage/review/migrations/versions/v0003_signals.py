"""The signals of every decision, which the monitor watches."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Decisions of before have none."""
    op.add_column("decision", sa.Column("signals", sa.JSON))
