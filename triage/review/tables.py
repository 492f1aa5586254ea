"""The tables of the review database. What is typed here is all that it holds: pseudonyms, never a patient.

One free text is a human's: `Reading.note`. It stays in this table: no log, export, audit row or tracking holds it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, String, Text, UniqueConstraint, literal_column
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from triage.review.columns import Number, UtcDateTime
from triage.review.words import State


class Base(DeclarativeBase):
    """Registry of the tables below."""


class Decision(Base):
    """What was decided on one content under one bundle; one row for ever, brought up to date when it is decided anew.

    current: the latest decision on its pseudonym. code: why the input was refused, None when it was read.
    signals: value of each, what is no number as a word; None when it was not read, or decided before they were kept.
    """

    __tablename__ = "decision"
    __table_args__ = (UniqueConstraint("pseudonym", "content_sha256", "bundle_digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(64), index=True)
    content_sha256: Mapped[str] = mapped_column(String(64), index=True)
    bundle_name: Mapped[str] = mapped_column(Text)
    bundle_version: Mapped[str] = mapped_column(Text)
    bundle_digest: Mapped[str] = mapped_column(String(64), index=True)
    route: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(32))
    score: Mapped[float] = mapped_column(Number, nullable=True)
    limit: Mapped[float] = mapped_column(Number, nullable=True)
    action: Mapped[str] = mapped_column(Text)
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    signals: Mapped[dict[str, float | str] | None] = mapped_column(JSON(none_as_null=True))
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime)
    current: Mapped[bool]


class ReviewItem(Base):
    """One decision in front of a human: the version that a reading speaks of, since a new decision makes a new item.

    doubt: larger is seen first. route, signal, reason: what the queue shows; of a blind item they do not give it away.
    waiting_since: kept when a new decision takes over.
    """

    __tablename__ = "review_item"

    id: Mapped[int] = mapped_column(primary_key=True)
    decision_id: Mapped[int] = mapped_column(ForeignKey("decision.id"), index=True)
    pseudonym: Mapped[str] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    doubt: Mapped[float] = mapped_column(Float(53))
    route: Mapped[str] = mapped_column(String(16))
    signal: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    waiting_since: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    decision: Mapped[Decision] = relationship()


IS_OPEN = ReviewItem.state == literal_column(f"'{State.OPEN}'")
"""Written out in every query: SQLite serves it from the indices below alone, which it cannot do for a parameter."""

for _name, _columns, _unique in (
    ("one_open_item_a_case", (ReviewItem.pseudonym,), True),
    (
        "open_items_in_order",
        (ReviewItem.doubt.desc(), ReviewItem.waiting_since, ReviewItem.id, ReviewItem.pseudonym),
        False,
    ),
    ("open_items_by_reason", (ReviewItem.route, ReviewItem.signal, ReviewItem.pseudonym), False),
):
    Index(_name, *_columns, unique=_unique, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)


class Account(Base):
    """Who may open the review pages. password_hash: argon2id, None until the one-time link was used.

    session_epoch: grows when sessions that are open elsewhere must end. failures, retry_after: of the log-in.
    """

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(Text)
    active: Mapped[bool]
    session_epoch: Mapped[int]
    failures: Mapped[int]
    retry_after: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OneTimeLink(Base):
    """Lets one account set its password once. token_sha256: the token itself is nowhere."""

    __tablename__ = "one_time_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Lease(Base):
    """Who has an open item in hand. After `until` another may take it."""

    __tablename__ = "lease"

    item_id: Mapped[int] = mapped_column(ForeignKey("review_item.id"), primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)

    account: Mapped[Account] = relationship()


class Correction(Base):
    """A reviewer's label volume on the scanner's grid. path: relative to the folder of corrections."""

    __tablename__ = "correction"
    __table_args__ = (UniqueConstraint("pseudonym", "content_sha256", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(64))
    content_sha256: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(Text)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)

    account: Mapped[Account] = relationship()


class Reading(Base):
    """One reviewer's verdict on one item. ordinal: 1 is the first reading, 2 the second, 3 settles a disagreement.

    final: the one that closed its item. code: a key of `triage.review.words.CODES`. since: when it was taken in hand.
    """

    __tablename__ = "reading"
    __table_args__ = (UniqueConstraint("item_id", "ordinal"), UniqueConstraint("account_id", "item_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("review_item.id"))
    ordinal: Mapped[int]
    final: Mapped[bool]
    decision_id: Mapped[int] = mapped_column(ForeignKey("decision.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    verdict: Mapped[str] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(Text)
    correction_id: Mapped[int | None] = mapped_column(ForeignKey("correction.id"))
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)

    item: Mapped[ReviewItem] = relationship()
    decision: Mapped[Decision] = relationship()
    account: Mapped[Account] = relationship()
    correction: Mapped[Correction | None] = relationship()


class Live(Base):
    """Which bundle was live, from when until when; `until` is None for the one that is. MLflow does not keep this."""

    __tablename__ = "live"

    id: Mapped[int] = mapped_column(primary_key=True)
    bundle_name: Mapped[str] = mapped_column(Text)
    bundle_version: Mapped[str] = mapped_column(Text)
    bundle_digest: Mapped[str] = mapped_column(String(64))
    mlflow_version: Mapped[str | None] = mapped_column(String(32))
    since: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    by: Mapped[str] = mapped_column(String(64))
    because: Mapped[str] = mapped_column(Text)


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
