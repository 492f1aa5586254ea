"""The desk of the reviewers: look at the queue, take a case in hand, say what it is. Every act is an audit row."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from triage.review import audit, corrections, leases, listing
from triage.review.agreement import Agreement, agreement_of_labels, kappa_of_verdicts
from triage.review.database import now, transaction
from triage.review.errors import Incomplete, NotFound, Taken
from triage.review.records import (
    CaseFile,
    Claim,
    CorrectionRecord,
    Filters,
    Opinion,
    QueuePage,
    ReadingRecord,
    Settled,
)
from triage.review.rows import claim_record, correction_record, reading_record
from triage.review.tables import Account, Correction, Lease, Reading, ReviewItem
from triage.review.words import Kind, ReaderVerdict, State

LEASE = timedelta(minutes=15)
SECOND, THIRD = 2, 3


class ReviewDesk:
    """The desk over the review database. Every method is one transaction, and raises TriageError with what to do.

    corrections: folder of the label volumes. double: every case is read by two reviewers who do not see each other's
    verdict; where they disagree, a third who sees both settles it. An account is named by its id.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        corrections: Path,
        double: bool = False,
        lease: timedelta = LEASE,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._engine = engine
        self._corrections = corrections
        self._double = double
        self._lease = lease
        self._clock = clock

    def page(self, filters: Filters, *, account: int, after: int | None = None, limit: int = 50) -> QueuePage:
        """What waits for this reviewer: most doubtful first, then who waits longest. after: of the page before."""
        with transaction(self._engine, reads_only=True) as session:
            leases.active(session, account)
            return listing.queue_page(session, filters, self._clock(), account=account, after=after, limit=limit)

    def case(self, pseudonym: str, *, account: int) -> CaseFile:
        """All that is known of a case; the view is an audit row. Raises NotFound."""
        with transaction(self._engine) as session:
            person = leases.active(session, account)
            found = listing.case_file(session, pseudonym, account=account, at=self._clock())
            if found is None:
                raise NotFound("There is no case of that pseudonym.", do="Look for it in the queue.")
            self._audit(session, person, "viewed", {"what": "case", "pseudonym": pseudonym})
            return found

    def view(self, what: str, *, account: int, pseudonym: str | None = None) -> None:
        """Write down that somebody looked at a page or took a file, e.g. what="queue" or "entropy.nii.gz"."""
        with transaction(self._engine) as session:
            self._audit(session, leases.active(session, account), "viewed", {"what": what, "pseudonym": pseudonym})

    def claim(self, item_id: int, *, account: int) -> Claim:
        """Take an item in hand, or hold it longer. Raises Taken, Outdated, NotAllowed."""
        with transaction(self._engine) as session:
            person, item, lease = leases.open_item(session, item_id, account)
            at = self._clock()
            if session.scalar(select(Reading.id).where(Reading.item_id == item_id, Reading.account_id == account)):
                raise Taken("You have read this case.", do="It waits for another reader.")
            if lease is not None and lease.account_id == account:
                lease.until = at + self._lease
                return claim_record(lease)
            if lease is not None and at < lease.until:
                raise Taken(f"{lease.account.name} has this case in hand.", do="Take another one.")
            if lease is not None:
                session.delete(lease)
                session.flush()
            lease = Lease(item_id=item_id, account=person, since=at, until=at + self._lease)
            session.add(lease)
            self._audit(session, person, "claimed", _version(item))
            return claim_record(lease)

    def renew(self, item_id: int, *, account: int) -> Claim:
        """Hold an item longer that is in this reviewer's hand. Raises Taken when it is no longer."""
        with transaction(self._engine) as session:
            lease, _ = leases.in_hand(session, item_id, account)
            lease.until = self._clock() + self._lease
            return claim_record(lease)

    def release(self, item_id: int, *, account: int) -> None:
        """Give an item back unread. Nothing when this reviewer does not hold it."""
        with transaction(self._engine) as session:
            lease = session.get(Lease, item_id)
            if lease is None or lease.account_id != account:
                return
            person, item = lease.account, session.get_one(ReviewItem, item_id)
            session.delete(lease)
            self._audit(session, person, "released", _version(item))

    def keep_correction(
        self, item_id: int, labels: NDArray[np.uint8], affine: NDArray[np.float64], *, account: int
    ) -> CorrectionRecord:
        """Keep a correction of the item in hand: class ids on the scanner's grid, (X, Y, Z), and its RAS+ affine."""
        with transaction(self._engine, reads_only=True) as session:
            _, item = leases.in_hand(session, item_id, account)
            pseudonym = item.pseudonym
        sha256, path = corrections.keep(labels, affine, self._corrections, pseudonym)
        with transaction(self._engine) as session:
            lease, item = leases.in_hand(session, item_id, account)
            kept = _correction(session, item, sha256)
            if kept is None:
                kept = Correction(
                    pseudonym=pseudonym,
                    content_sha256=item.decision.content_sha256,
                    sha256=sha256,
                    path=path,
                    account=lease.account,
                    at=self._clock(),
                )
                session.add(kept)
                content = {**_version(item), "correction_sha256": sha256}
                self._audit(session, lease.account, "correction_kept", content)
            return correction_record(kept)

    def decide(self, item_id: int, opinion: Opinion, *, account: int) -> Settled:
        """Give the verdict on the item in hand. The item closes, or waits for another reader when two must agree.

        Raises Outdated when a newer decision took its place, Taken when it is not in this reviewer's hand.
        """
        with transaction(self._engine, reads_only=True) as session:
            _, item = leases.in_hand(session, item_id, account)  # nobody else reads it before the lease ends
            given = listing.readings_of(session, item_id)
            correction = _given_correction(session, item, opinion)
            path = correction.path if correction else None
            compared = len(given) == SECOND - 1
            agreement = self._compared(given[0], opinion.verdict, path) if compared else None
        with transaction(self._engine) as session:
            lease, item = leases.in_hand(session, item_id, account)
            ordinal = len(given) + 1
            final = agreement.agreed if agreement else ordinal == THIRD or not self._double
            at = self._clock()
            session.add(
                Reading(
                    item=item,
                    ordinal=ordinal,
                    final=final,
                    decision_id=item.decision_id,
                    account=lease.account,
                    verdict=opinion.verdict.value,
                    code=opinion.code,
                    note=opinion.note,
                    correction=_given_correction(session, item, opinion),
                    since=lease.since,
                    at=at,
                )
            )
            if final:
                item.state, item.closed_at = State.DECIDED.value, at
            content = {
                **_version(item),
                "verdict": opinion.verdict.value,
                "code": opinion.code,
                "correction_sha256": opinion.correction_sha256,
                "ordinal": ordinal,
                "final": final,
            }
            self._audit(session, lease.account, "read", content, at=at)
            session.delete(lease)
            return Settled(state=State(item.state), agreement=agreement)

    def agreement(self, item_id: int) -> Agreement | None:
        """How far the first two readings of an item agree; None before there are two."""
        with transaction(self._engine, reads_only=True) as session:
            given = listing.readings_of(session, item_id)
            if len(given) < SECOND:
                return None
            second = given[1]
            path = second.correction.path if second.correction else None
            return self._compared(given[0], ReaderVerdict(second.verdict), path)

    def kappa(self) -> tuple[float, int]:
        """Cohen's kappa of first and second verdicts over all cases that two have read, and how many those are."""
        with transaction(self._engine, reads_only=True) as session:
            pairs = listing.verdict_pairs(session)
        return kappa_of_verdicts(pairs), len(pairs)

    def readings(self, *, kind: Kind | None = None, since: datetime | None = None) -> tuple[ReadingRecord, ...]:
        """The final readings, oldest first: what retraining learns from, and what the gate is watched by.

        kind: BLIND for quality control alone. since: only those given later.
        """
        with transaction(self._engine, reads_only=True) as session:
            return tuple(reading_record(row) for row in listing.final_readings(session, kind=kind, since=since))

    def _compared(self, first: Reading, verdict: ReaderVerdict, path: str | None) -> Agreement:
        """A reading with a second one, given by its verdict and the path of its correction."""
        if first.verdict != verdict.value or first.correction is None or path is None:
            return Agreement(same_verdict=first.verdict == verdict.value, dice={}, kappa=math.nan)
        both = (corrections.load_labels(self._corrections, p) for p in (first.correction.path, path))
        return agreement_of_labels(*both)

    def _audit(
        self,
        session: Session,
        person: Account,
        event: str,
        content: Mapping[str, audit.Json],
        *,
        at: datetime | None = None,
    ) -> None:
        audit.append(session, at=at or self._clock(), actor=person.name, event=event, content=content)


def _version(item: ReviewItem) -> dict[str, audit.Json]:
    """Which decision an act speaks of."""
    decision = item.decision
    return {
        "item": item.id,
        "pseudonym": item.pseudonym,
        "content_sha256": decision.content_sha256,
        "bundle_digest": decision.bundle_digest,
    }


def _correction(session: Session, item: ReviewItem, sha256: str) -> Correction | None:
    same = (
        Correction.pseudonym == item.pseudonym,
        Correction.content_sha256 == item.decision.content_sha256,
        Correction.sha256 == sha256,
    )
    return session.scalar(select(Correction).where(*same))


def _given_correction(session: Session, item: ReviewItem, opinion: Opinion) -> Correction | None:
    """The correction that an opinion names. Raises Incomplete when it was not kept for this content."""
    if opinion.correction_sha256 is None:
        return None
    kept = _correction(session, item, opinion.correction_sha256)
    if kept is None:
        raise Incomplete("This correction was not kept for this case.", do="Save it again, then decide.")
    return kept
