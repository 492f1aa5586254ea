"""The review queue: remembers every decision, and holds what a human must see, most doubtful first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session, joinedload

from triage.case import RefusedInput
from triage.errors import Code
from triage.review import audit
from triage.review.database import connect, transaction
from triage.review.tables import AuditHead, Decision, ReviewItem, State
from triage.verdict import Reason, Report, Route

PIPELINE = "pipeline"
"""Who acts when no human does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """One case that waits for a human. doubt: larger first, infinite when there is no score."""

    pseudonym: str
    route: Route
    doubt: float
    reason: str
    action: str
    bundle_digest: str
    waiting_since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """Length of the audit trail, digest of its last row, and where it is broken, if it is."""

    rows: int
    head: str
    broken: audit.Broken | None


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class ReviewQueue:
    """The queue in a database. Every method is one transaction."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._clock = clock

    def settle(self, report: Report) -> None:
        """Record a decision, and put the case in front of a human unless it was accepted. Twice is the same as once."""
        new = _decision(report, self._clock())
        with transaction(self._engine) as session:
            old = session.scalar(
                select(Decision).where(
                    Decision.pseudonym == new.pseudonym,
                    Decision.content_sha256 == new.content_sha256,
                    Decision.bundle_digest == new.bundle_digest,
                )
            )
            if old is not None and old.current and _outcome(old) == _outcome(new):
                return
            decision = new if old is None else _brought_up_to_date(old, new)
            waiting_since = _supersede(session, decision)
            if report.verdict.route is not Route.ACCEPTED:
                session.add(_open(decision, doubt=report.verdict.doubt, waiting_since=waiting_since))
            audit.append(
                session,
                at=new.decided_at,
                actor=PIPELINE,
                event="decided" if old is None else "decided_again",
                content=_outcome(new),
            )

    def is_decided(self, content_sha256: str, bundle_digest: str) -> bool:
        """Whether the content has a decision under the bundle. A failure of ours is none: the next run tries again."""
        query = select(Decision.id).where(
            Decision.content_sha256 == content_sha256,
            Decision.bundle_digest == bundle_digest,
            Decision.code.is_distinct_from(Code.INTERNAL.value),
        )
        with transaction(self._engine, reads_only=True) as session:
            return session.scalar(query.limit(1)) is not None

    def open_items(self) -> tuple[OpenItem, ...]:
        """Everything that waits for a human: most doubtful first, then who waits longest."""
        query = (
            select(ReviewItem)
            .options(joinedload(ReviewItem.decision))
            .where(ReviewItem.state == State.OPEN.value)
            .order_by(ReviewItem.doubt.desc(), ReviewItem.waiting_since, ReviewItem.id)
        )
        with transaction(self._engine, reads_only=True) as session:
            return tuple(_open_item(item) for item in session.scalars(query))

    def audit_head(self) -> str:
        """Digest of the last audit row; noted elsewhere, it proves later that nothing before it was rewritten."""
        with transaction(self._engine, reads_only=True) as session:
            return session.get_one(AuditHead, audit.HEAD).sha256

    def verify_audit(self) -> AuditState:
        """Walk the audit trail from its first row to its last."""
        with transaction(self._engine, reads_only=True) as session:
            broken = audit.verify(session)
            head = session.get(AuditHead, audit.HEAD)
            return AuditState(rows=head.sequence if head else 0, head=head.sha256 if head else "", broken=broken)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def open_queue(url: str, *, clock: Callable[[], datetime] = now) -> ReviewQueue:
    """The queue at a database URL, e.g. sqlite:////data/review.db; its tables are made when they are not there."""
    engine = connect(url)
    with transaction(engine) as session:
        audit.begin(session)
    return ReviewQueue(engine, clock=clock)


def _supersede(session: Session, decision: Decision) -> datetime:
    """Make a decision the current one of its case and close what was open; gives since when the case waits."""
    session.execute(update(Decision).where(Decision.pseudonym == decision.pseudonym).values(current=False))
    decision.current = True
    session.add(decision)
    waiting_since = decision.decided_at
    still_open = (ReviewItem.pseudonym == decision.pseudonym, ReviewItem.state == State.OPEN.value)
    for item in session.scalars(select(ReviewItem).where(*still_open)):
        item.state, item.closed_at = State.SUPERSEDED.value, decision.decided_at
        waiting_since = min(waiting_since, item.waiting_since)
    session.flush()  # the old item closes before a new one opens: the database allows one open item a case
    return waiting_since


def _open(decision: Decision, *, doubt: float, waiting_since: datetime) -> ReviewItem:
    return ReviewItem(
        decision=decision,
        pseudonym=decision.pseudonym,
        doubt=doubt,
        state=State.OPEN.value,
        waiting_since=waiting_since,
    )


def _decision(report: Report, at: datetime) -> Decision:
    verdict = report.verdict
    return Decision(
        pseudonym=report.case.pseudonym,
        content_sha256=report.case.content_sha256,
        bundle_name=report.bundle.name,
        bundle_version=report.bundle.version,
        bundle_digest=report.bundle.digest,
        route=verdict.route.value,
        code=report.case.code.value if isinstance(report.case, RefusedInput) else None,
        score=verdict.score,
        limit=verdict.limit,
        action=verdict.action,
        reasons=[_reason(reason) for reason in verdict.reasons],
        decided_at=at,
    )


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "signal": reason.signal,
        "text": reason.text,
        "value": _plain(reason.value),
        "limit": _plain(reason.limit),
        "part": _plain(reason.part),
        "action": reason.action,
    }


def _plain(value: float) -> float | str:
    """JSON has no NaN and no infinity: they become words."""
    return value if math.isfinite(value) else str(value)


def _outcome(decision: Decision) -> dict[str, Any]:
    """What makes two decisions the same, and what the audit keeps of one."""
    return {
        "pseudonym": decision.pseudonym,
        "content_sha256": decision.content_sha256,
        "bundle": [decision.bundle_name, decision.bundle_version, decision.bundle_digest],
        "route": decision.route,
        "code": decision.code,
        "score": _plain(decision.score),
        "limit": _plain(decision.limit),
        "reasons": decision.reasons,
    }


def _brought_up_to_date(old: Decision, new: Decision) -> Decision:
    for name in ("bundle_name", "bundle_version", "route", "code", "score", "limit", "action", "reasons", "decided_at"):
        setattr(old, name, getattr(new, name))
    return old


def _open_item(item: ReviewItem) -> OpenItem:
    decision = item.decision
    reasons: Sequence[dict[str, Any]] = decision.reasons
    return OpenItem(
        pseudonym=item.pseudonym,
        route=Route(decision.route),
        doubt=item.doubt,
        reason=reasons[0]["text"] if reasons else "",
        action=decision.action,
        bundle_digest=decision.bundle_digest,
        waiting_since=item.waiting_since,
    )
