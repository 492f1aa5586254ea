"""What Alembic runs: always on the connection that it is given, in that connection's transaction."""

from alembic import context

from triage.review.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
