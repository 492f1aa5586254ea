"""The audit trail: rows are only ever added, and each carries the digest of the one before.

Whoever edits, deletes or reorders a row breaks the chain at that row. Whoever rewrites the whole chain is found by a
head noted elsewhere: every run logs it. Whoever edits what a row speaks of is found by `triage.review.contradictions`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from triage.review.tables import AuditHead, AuditRow

GENESIS = "0" * 64
HEAD = 1
"""Key of the one row of `audit_head`."""

Json = str | int | float | bool | None | list["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The first place where the trail does not hold."""

    sequence: int
    why: str


def link(sequence: int, content: str, previous_sha256: str) -> str:
    """Digest of one row: SHA-256 over the previous digest, the row's number and its content, a line each."""
    return hashlib.sha256(f"{previous_sha256}\n{sequence}\n{content}".encode()).hexdigest()


def begin(session: Session) -> None:
    """Write the head of an empty trail, once."""
    if session.get(AuditHead, HEAD) is None:
        session.add(AuditHead(id=HEAD, sequence=0, sha256=GENESIS))


def append(session: Session, *, at: datetime, actor: str, event: str, content: Mapping[str, Json]) -> None:
    """Add one event in the caller's transaction; two writers take turns on the head."""
    head = session.get_one(AuditHead, HEAD, with_for_update=True)
    written = canonical({"at": at.isoformat(), "actor": actor, "event": event, **content})
    sequence, previous = head.sequence + 1, head.sha256
    head.sequence, head.sha256 = sequence, link(sequence, written, previous)
    session.add(AuditRow(sequence=sequence, content=written, previous_sha256=previous, sha256=head.sha256))


def canonical(record: Mapping[str, Json]) -> str:
    """The one way to write a record."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def verify(session: Session, heads: Sequence[str] = ()) -> Broken | None:
    """Walk the whole trail; None when every row is there, in its place and unchanged, and it once ended at each head.

    heads: digests that were noted elsewhere; those noted first come first.
    """
    expected, previous, places = 1, GENESIS, {GENESIS: 0}
    noted = frozenset(heads)
    for row in session.scalars(select(AuditRow).order_by(AuditRow.sequence)).yield_per(1000):
        if row.sequence != expected:
            return Broken(sequence=expected, why="the row is missing")
        if row.previous_sha256 != previous:
            return Broken(sequence=expected, why="the row does not follow the one before it")
        if row.sha256 != link(row.sequence, row.content, previous):
            return Broken(sequence=expected, why="the row was edited")
        if row.sha256 in noted:
            places[row.sha256] = row.sequence
        expected, previous = expected + 1, row.sha256
    head = session.get(AuditHead, HEAD)
    if head is None:
        return Broken(sequence=expected, why="the head is missing")
    if (head.sequence, head.sha256) != (expected - 1, previous):
        return Broken(sequence=expected, why="the last rows are missing")
    return _rewritten(heads, places)


def _rewritten(heads: Sequence[str], places: Mapping[str, int]) -> Broken | None:
    """Behind the last head that the trail still holds, when it does not hold the next one."""
    last = 0
    for head in heads:
        if head not in places:
            return Broken(sequence=last + 1, why="here or later it was written anew: a head noted earlier is not in it")
        last = places[head]
    return None
