"""What is read from the review database for a page: the queue, a case, the readings."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from triage.review.records import CaseFile, Filters, ItemRecord, QueuePage
from triage.review.rows import claim_record, decision_record, noted_reading, queue_row
from triage.review.tables import IS_OPEN, Account, Decision, Lease, Reading, ReviewItem
from triage.review.words import Kind, ReaderVerdict, State
from triage.verdict import Route

SECOND = 2

Conditions = tuple[ColumnElement[bool], ...]


def queue_page(
    session: Session, filters: Filters, at: datetime, *, account: int, after: int | None, limit: int
) -> QueuePage:
    """The open items that this account has not read: a second reader is another one."""
    counts = _counts(session, _matching(filters.search), account)
    by_route, by_signal, waiting = Counter[Route](), Counter[str](), 0
    for (route, signal), n in counts.items():
        by_route[Route(route)] += n
        by_signal[signal] += n
        waiting += n if filters.route in (None, route) and filters.signal in (None, signal) else 0
    query = (
        select(ReviewItem, Account.name)
        .outerjoin(Lease, and_(Lease.item_id == ReviewItem.id, Lease.until > at))
        .outerjoin(Account, Account.id == Lease.account_id)
        .where(IS_OPEN, ~_read_by(account).exists(), *_matching(filters.search), *_filtered(filters))
        .where(*_behind(session, after))
        .order_by(ReviewItem.doubt.desc(), ReviewItem.waiting_since, ReviewItem.id)
        .limit(limit + 1)
    )
    rows = tuple(queue_row(item, name) for item, name in session.execute(query))
    more = len(rows) > limit
    return QueuePage(
        rows=rows[:limit],
        waiting=waiting,
        by_route=by_route,
        by_signal=by_signal,
        after=rows[limit - 1].item_id if more else None,
    )


def case_file(session: Session, pseudonym: str, *, account: int, at: datetime) -> CaseFile | None:
    """All that is known of a case, but for the readings that this account must not see; None without a decision."""
    decisions = session.scalars(
        select(Decision)
        .where(Decision.pseudonym == pseudonym)
        .order_by(Decision.current.desc(), Decision.decided_at.desc(), Decision.id.desc())
    ).all()
    if not decisions:
        return None
    item = session.scalar(
        select(ReviewItem).where(ReviewItem.pseudonym == pseudonym).order_by(ReviewItem.id.desc()).limit(1)
    )
    readings = session.scalars(
        _readings().where(ReviewItem.pseudonym == pseudonym).order_by(Reading.at.desc(), Reading.id.desc())
    ).all()
    return CaseFile(
        pseudonym=pseudonym,
        decisions=tuple(decision_record(row) for row in decisions),
        item=_item_record(session, item, readings, account=account, at=at) if item else None,
        readings=tuple(noted_reading(row) for row in readings if _may_see(row, readings, account)),
    )


def final_readings(session: Session, *, kind: Kind | None, since: datetime | None) -> Sequence[Reading]:
    """The readings that closed an item, oldest first."""
    query = _readings().where(Reading.final)
    if kind is not None:
        query = query.where(ReviewItem.kind == kind.value)
    if since is not None:
        query = query.where(Reading.at > since)
    return session.scalars(query.order_by(Reading.at, Reading.id)).all()


def readings_of(session: Session, item_id: int) -> Sequence[Reading]:
    """The readings of one item, in their order."""
    return session.scalars(_readings().where(Reading.item_id == item_id).order_by(Reading.ordinal)).all()


def verdict_pairs(session: Session) -> list[tuple[ReaderVerdict, ReaderVerdict]]:
    """First and second verdict of every item that two have read."""
    first, second = aliased(Reading), aliased(Reading)
    query = (
        select(first.verdict, second.verdict)
        .join(second, first.item_id == second.item_id)
        .where(first.ordinal == 1, second.ordinal == SECOND)
    )
    return [(ReaderVerdict(a), ReaderVerdict(b)) for a, b in session.execute(query)]


def _readings() -> Select[Any]:
    related = (Reading.decision, Reading.account, Reading.correction)
    return (
        select(Reading)
        .join(Reading.item)
        .options(joinedload(Reading.item), *(joinedload(relation) for relation in related))
    )


def _counts(session: Session, matching: Conditions, account: int) -> Counter[tuple[str, str]]:
    """How many wait by route and reason. Those read by this account are few: counted apart, they spare the others."""
    kinds = (ReviewItem.route, ReviewItem.signal)
    every = select(*kinds, func.count()).where(IS_OPEN, *matching).group_by(*kinds)
    read = every.join(Reading, Reading.item_id == ReviewItem.id).where(Reading.account_id == account)
    found, less = ({(route, signal): n for route, signal, n in session.execute(query)} for query in (every, read))
    return Counter(found) - Counter(less)


def _read_by(account: int) -> Select[Any]:
    return select(Reading.id).where(Reading.account_id == account, Reading.item_id == ReviewItem.id)


def _matching(search: str) -> Conditions:
    """Pseudonyms are written in small letters."""
    part = search.strip().lower()
    return (ReviewItem.pseudonym.contains(part, autoescape=True),) if part else ()


def _filtered(filters: Filters) -> Conditions:
    route = () if filters.route is None else (ReviewItem.route == filters.route.value,)
    return (*route, *(() if filters.signal is None else (ReviewItem.signal == filters.signal,)))


def _behind(session: Session, after: int | None) -> Conditions:
    """What comes after an item in the order of the queue, whether that one still waits or not."""
    last = None if after is None else session.get(ReviewItem, after)
    if last is None:
        return ()
    later = or_(
        ReviewItem.waiting_since > last.waiting_since,
        and_(ReviewItem.waiting_since == last.waiting_since, ReviewItem.id > last.id),
    )
    return (ReviewItem.doubt <= last.doubt, or_(ReviewItem.doubt < last.doubt, later))


def _item_record(
    session: Session, item: ReviewItem, readings: Sequence[Reading], *, account: int, at: datetime
) -> ItemRecord:
    lease = session.get(Lease, item.id)
    own = [row for row in readings if row.item_id == item.id]
    return ItemRecord(
        item_id=item.id,
        state=State(item.state),
        blind=item.kind == Kind.BLIND.value and item.state == State.OPEN.value,
        route=Route(item.route),
        doubt=item.doubt,
        reason=item.reason,
        waiting_since=item.waiting_since,
        claim=claim_record(lease) if lease is not None and at < lease.until else None,
        readings=len(own),
        read_by_me=any(row.account_id == account for row in own),
    )


def _may_see(row: Reading, readings: Sequence[Reading], account: int) -> bool:
    """Own ones, those of closed items, and for the third reader both; never the first one's as a second reader."""
    both = sum(other.item_id == row.item_id for other in readings) >= SECOND
    return row.account_id == account or row.item.state != State.OPEN.value or both
