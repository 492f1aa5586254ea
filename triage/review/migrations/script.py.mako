"""${message}"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Tables and rows of the version before become those of this one."""
    ${upgrades if upgrades else "pass"}
