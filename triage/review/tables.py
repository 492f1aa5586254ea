"""The tables of the review database. What is typed here is all that it holds: pseudonyms, never a patient."""

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    DDL,
    JSON,
    DateTime,
    Float,
    ForeignKey,
    Index,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite drops the zone of what it stores; here it comes back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value


class Number(TypeDecorator[float]):
    """A float that may be NaN: stored as NULL, as SQLite does on its own and PostgreSQL does not."""

    impl = Float(53)
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None or math.isnan(value) else value

    def process_result_value(self, value: float | None, dialect: Dialect) -> float:
        return math.nan if value is None else value


class Base(DeclarativeBase):
    """Registry of the tables below."""


class State(StrEnum):
    """Where a review item stands."""

    OPEN = "open"
    SUPERSEDED = "superseded"


class Decision(Base):
    """What was decided on one content under one bundle; one row for ever, brought up to date when it is decided anew.

    current: the latest decision on its pseudonym. code: why the input was refused, None when it was read.
    """

    __tablename__ = "decision"
    __table_args__ = (UniqueConstraint("pseudonym", "content_sha256", "bundle_digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(64), index=True)
    content_sha256: Mapped[str] = mapped_column(String(64), index=True)
    bundle_name: Mapped[str] = mapped_column(Text)
    bundle_version: Mapped[str] = mapped_column(Text)
    bundle_digest: Mapped[str] = mapped_column(String(64))
    route: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(32))
    score: Mapped[float] = mapped_column(Number, nullable=True)
    limit: Mapped[float] = mapped_column(Number, nullable=True)
    action: Mapped[str] = mapped_column(Text)
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime)
    current: Mapped[bool]


class ReviewItem(Base):
    """One case in front of a human. doubt: larger is seen first. waiting_since: kept when a new decision takes over."""

    __tablename__ = "review_item"

    id: Mapped[int] = mapped_column(primary_key=True)
    decision_id: Mapped[int] = mapped_column(ForeignKey("decision.id"), index=True)
    pseudonym: Mapped[str] = mapped_column(String(64))
    doubt: Mapped[float] = mapped_column(Float(53))
    state: Mapped[str] = mapped_column(String(16))
    waiting_since: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    decision: Mapped[Decision] = relationship()


_IS_OPEN = ReviewItem.state == State.OPEN.value
Index("one_open_item_a_case", ReviewItem.pseudonym, unique=True, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)


class AuditRow(Base):
    """One event, chained to the one before. content: canonical JSON; sha256: see `triage.review.audit.link`."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[str] = mapped_column(Text)
    previous_sha256: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The one row that says where the audit ends; without it a shortened chain would look whole."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))


for _verb in ("UPDATE", "DELETE"):
    _forbid = DDL(  # type: ignore[no-untyped-call]
        f"CREATE TRIGGER audit_no_{_verb.lower()} BEFORE {_verb} ON audit "
        "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
    )
    event.listen(AuditRow.__table__, "after_create", _forbid.execute_if(dialect="sqlite"))
