"""Accounts, leases, readings, corrections and the history of live bundles; what the queue shows lies in its item."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From the queue and the audit alone."""
    op.create_index("ix_decision_bundle_digest", "decision", ["bundle_digest"])
    _widen_review_items()
    _make_accounts()
    _make_readings()
    _make_live()
    if op.get_context().dialect.name == "postgresql":
        _make_audit_append_only()


def _widen_review_items() -> None:
    new = (("kind", sa.String(8)), ("route", sa.String(16)), ("signal", sa.String(64)), ("reason", sa.Text()))
    op.drop_index("one_open_item_a_case", "review_item")
    for name, kind in new:
        op.add_column("review_item", sa.Column(name, kind))
    _fill_review_items()
    with op.batch_alter_table("review_item") as batch:
        for name, kind in new:
            batch.alter_column(name, existing_type=kind, nullable=False)
    op.create_index("ix_review_item_pseudonym", "review_item", ["pseudonym"])
    is_open = sa.text("state = 'open'")
    indices: tuple[tuple[str, list[str | sa.TextClause], bool], ...] = (
        ("one_open_item_a_case", ["pseudonym"], True),
        ("open_items_in_order", [sa.text("doubt DESC"), "waiting_since", "id", "pseudonym"], False),
        ("open_items_by_reason", ["route", "signal", "pseudonym"], False),
    )
    for index, columns, unique in indices:
        op.create_index(index, "review_item", columns, unique=unique, sqlite_where=is_open, postgresql_where=is_open)


def _fill_review_items() -> None:
    """Every item of the first schema is a case in doubt; it shows its decision's route and first reason."""
    item = sa.table("review_item", *map(sa.column, ("decision_id", "kind", "route", "signal", "reason")))
    decision = sa.table("decision", sa.column("id"), sa.column("route"), sa.column("reasons", sa.JSON))
    connection = op.get_bind()
    waited = sa.select(item.c.decision_id).distinct()
    for row in connection.execute(sa.select(decision).where(decision.c.id.in_(waited))).all():
        first = row.reasons[0] if row.reasons else {"signal": "", "text": ""}
        shown = {"kind": "doubt", "route": row.route, "signal": first["signal"], "reason": first["text"]}
        connection.execute(sa.update(item).where(item.c.decision_id == row.id).values(shown))


def _make_accounts() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("session_epoch", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("retry_after", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    op.create_table(
        "one_time_link",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
    )


def _make_readings() -> None:
    op.create_table(
        "lease",
        sa.Column("item_id", sa.Integer, sa.ForeignKey("review_item.id"), primary_key=True, autoincrement=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
    )
    op.create_table(
        "correction",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("pseudonym", sa.String(64), nullable=False),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False, index=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.UniqueConstraint("pseudonym", "content_sha256", "sha256"),
    )
    op.create_table(
        "reading",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("item_id", sa.Integer, sa.ForeignKey("review_item.id"), nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("decision_id", sa.Integer, sa.ForeignKey("decision.id"), nullable=False, index=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("correction_id", sa.Integer, sa.ForeignKey("correction.id")),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("at", MOMENT, nullable=False, index=True),
        sa.UniqueConstraint("item_id", "ordinal"),
        sa.UniqueConstraint("account_id", "item_id"),
    )


def _make_live() -> None:
    op.create_table(
        "live",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("bundle_name", sa.Text, nullable=False),
        sa.Column("bundle_version", sa.Text, nullable=False),
        sa.Column("bundle_digest", sa.String(64), nullable=False),
        sa.Column("mlflow_version", sa.String(32)),
        sa.Column("since", MOMENT, nullable=False, index=True),
        sa.Column("until", MOMENT),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("because", sa.Text, nullable=False),
    )


def _make_audit_append_only() -> None:
    """What SQLite's triggers do since the first schema; a statement that empties the table is refused too."""
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )
