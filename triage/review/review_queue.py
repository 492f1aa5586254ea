"""The review queue: remembers every decision, and holds what a human must see, most doubtful first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session, joinedload

from triage.errors import Code
from triage.review import audit
from triage.review.contradictions import contradiction
from triage.review.database import connect, now, transaction
from triage.review.decisions import brought_up_to_date, decision_of, outcome
from triage.review.items import BLIND_ACTION, blind_item, doubt_item, was_read
from triage.review.tables import IS_OPEN, AuditHead, Decision, Lease, ReviewItem
from triage.review.words import Kind, State
from triage.verdict import Report, Route

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
    """Length of the audit trail, digest of its last row, and where it is broken, if it is.

    noted: how many heads that were noted elsewhere it was held against.
    """

    rows: int
    head: str
    noted: int
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

        blind: an accepted case is drawn for quality control, and waits too; the queue does not tell. What a human has
        read already is not asked again.
        """
        new = decision_of(report, self._clock())
        with transaction(self._engine) as session:
            old = session.scalar(
                select(Decision).where(
                    Decision.pseudonym == new.pseudonym,
                    Decision.content_sha256 == new.content_sha256,
                    Decision.bundle_digest == new.bundle_digest,
                )
            )
            same = old is not None and outcome(old) == outcome(new)
            if old is not None and same and old.current:
                return
            read = old is not None and same and was_read(session, old)
            decision = new if old is None else brought_up_to_date(old, new)
            waiting_since = _supersede(session, decision)
            accepted = report.verdict.route is Route.ACCEPTED
            if not read and (blind or not accepted):
                item = (
                    blind_item(session, decision, report.verdict) if accepted else doubt_item(decision, report.verdict)
                )
                item.waiting_since = waiting_since
                session.add(item)
            audit.append(
                session,
                at=new.decided_at,
                actor=PIPELINE,
                event="decided" if old is None else "decided_again",
                content={**outcome(new), "blind": blind and accepted},
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
            .where(IS_OPEN)
            .order_by(ReviewItem.doubt.desc(), ReviewItem.waiting_since, ReviewItem.id)
        )
        with transaction(self._engine, reads_only=True) as session:
            return tuple(_open_item(item) for item in session.scalars(query))

    def audit_head(self) -> str:
        """Digest of the last audit row; noted elsewhere, it proves later that nothing before it was rewritten."""
        with transaction(self._engine, reads_only=True) as session:
            return session.get_one(AuditHead, audit.HEAD).sha256

    def verify_audit(self, heads: Sequence[str] = ()) -> AuditState:
        """Walk the audit trail from its first row to its last, and hold what it says against the tables.

        heads: digests at which the trail ended once, as `audit_head` gave them; those noted first come first.
        """
        with transaction(self._engine, reads_only=True) as session:
            broken = audit.verify(session, heads) or contradiction(session)
            end = session.get(AuditHead, audit.HEAD)
            rows, head = (end.sequence, end.sha256) if end else (0, "")
            return AuditState(rows=rows, head=head, noted=len(heads), broken=broken)

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
    for item in session.scalars(select(ReviewItem).where(IS_OPEN, ReviewItem.pseudonym == decision.pseudonym)):
        item.state, item.closed_at = State.SUPERSEDED.value, decision.decided_at
        session.execute(delete(Lease).where(Lease.item_id == item.id))
        waiting_since = min(waiting_since, item.waiting_since)
    session.flush()  # the old item closes before a new one opens: the database allows one open item a case
    return waiting_since


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
