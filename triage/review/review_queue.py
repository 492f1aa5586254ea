"""The review queue: remembers every decision, and holds what a human must see, most doubtful first."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session, joinedload

from triage.case import RefusedInput
from triage.errors import Code
from triage.review import audit
from triage.review.database import connect, now, transaction
from triage.review.tables import AuditHead, Decision, Lease, ReviewItem
from triage.review.words import Kind, State
from triage.verdict import Reason, Report, Route, Verdict

PIPELINE = "pipeline"
"""Who acts when no human does."""
BLIND_ACTION = "Second reader: check the segmentation."
"""What a case asks for that was accepted and drawn for blind review; many cases in doubt ask for the same."""


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


class ReviewQueue:
    """The queue in a database. Every method is one transaction."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._clock = clock

    @property
    def engine(self) -> Engine:
        """The database, for the other sides of the review: `ReviewDesk`, `Accounts`, `History`."""
        return self._engine

    def settle(self, report: Report, *, blind: bool = False) -> None:
        """Record a decision, and put the case in front of a human unless it was accepted. Twice is the same as once.

        blind: an accepted case is drawn for quality control, and waits too; its reviewer is not told. What a human has
        read already is not asked again.
        """
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
            read = old is not None and _outcome(old) == _outcome(new) and _was_read(session, old)
            decision = new if old is None else _brought_up_to_date(old, new)
            waiting_since = _supersede(session, decision)
            accepted = report.verdict.route is Route.ACCEPTED
            if not read and (blind or not accepted):
                item = _blind_item(session, decision, report.verdict) if accepted else _item(decision, report.verdict)
                item.waiting_since = waiting_since
                session.add(item)
            audit.append(
                session,
                at=new.decided_at,
                actor=PIPELINE,
                event="decided" if old is None else "decided_again",
                content={**_outcome(new), "blind": blind and accepted},
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
    """The queue at a database URL, e.g. sqlite:////data/review.db; its tables are made or brought up to date."""
    return ReviewQueue(connect(url), clock=clock)


def _supersede(session: Session, decision: Decision) -> datetime:
    """Make a decision the current one of its case and close what was open; gives since when the case waits."""
    session.execute(update(Decision).where(Decision.pseudonym == decision.pseudonym).values(current=False))
    decision.current = True
    session.add(decision)
    waiting_since = decision.decided_at
    still_open = (ReviewItem.pseudonym == decision.pseudonym, ReviewItem.state == State.OPEN.value)
    for item in session.scalars(select(ReviewItem).where(*still_open)):
        item.state, item.closed_at = State.SUPERSEDED.value, decision.decided_at
        session.execute(delete(Lease).where(Lease.item_id == item.id))
        waiting_since = min(waiting_since, item.waiting_since)
    session.flush()  # the old item closes before a new one opens: the database allows one open item a case
    return waiting_since


def _was_read(session: Session, decision: Decision) -> bool:
    """Whether a human has given the verdict on what this decision last said."""
    latest = select(ReviewItem.state).where(ReviewItem.decision_id == decision.id).order_by(ReviewItem.id.desc())
    return session.scalar(latest.limit(1)) == State.DECIDED.value


def _item(decision: Decision, verdict: Verdict) -> ReviewItem:
    """A case in doubt, under the title of its first reason."""
    first = verdict.reasons[0]
    titles = {signal.name: signal.title for signal in verdict.signals}
    return ReviewItem(
        decision=decision,
        pseudonym=decision.pseudonym,
        kind=Kind.DOUBT.value,
        doubt=verdict.doubt,
        route=verdict.route.value,
        signal=first.signal,
        reason=titles.get(first.signal, first.text),
        state=State.OPEN.value,
    )


def _blind_item(session: Session, decision: Decision, verdict: Verdict) -> ReviewItem:
    """An accepted case that looks like one in doubt: under its largest signal, with a doubt that nothing gives away.

    That doubt lies between the limit and the doubt of a case that waits, both drawn by the pseudonym.
    """
    waiting = select(ReviewItem.doubt).where(
        ReviewItem.state == State.OPEN.value, ReviewItem.route == Route.HUMAN_REVIEW.value, ReviewItem.doubt < math.inf
    )
    doubts = session.scalars(waiting.order_by(ReviewItem.id)).all() or (2 * verdict.limit,)
    draw = random.Random(decision.pseudonym)  # noqa: S311  repeats for a case, guards no secret
    doubt = verdict.limit + draw.random() * (draw.choice(doubts) - verdict.limit)
    largest = max(verdict.signals, key=lambda signal: signal.part)
    return ReviewItem(
        decision=decision,
        pseudonym=decision.pseudonym,
        kind=Kind.BLIND.value,
        doubt=doubt,
        route=Route.HUMAN_REVIEW.value,
        signal=largest.name,
        reason=largest.title,
        state=State.OPEN.value,
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
        signals={signal.name: _plain(signal.value) for signal in verdict.signals} or None,
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
    decided = ("route", "code", "score", "limit", "action", "reasons", "signals", "decided_at")
    for name in ("bundle_name", "bundle_version", *decided):
        setattr(old, name, getattr(new, name))
    return old


def _open_item(item: ReviewItem) -> OpenItem:
    return OpenItem(
        pseudonym=item.pseudonym,
        route=Route(item.route),
        doubt=item.doubt,
        reason=item.reason,
        action=BLIND_ACTION if item.kind == Kind.BLIND.value else item.decision.action,
        bundle_digest=item.decision.bundle_digest,
        waiting_since=item.waiting_since,
    )
