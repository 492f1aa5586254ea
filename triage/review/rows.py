"""Rows of the database as the records that leave it."""

from triage.review.records import (
    Claim,
    CorrectionRecord,
    DecisionRecord,
    LiveRecord,
    NotedReading,
    QueueRow,
    ReadingRecord,
)
from triage.review.tables import Correction, Decision, Lease, Live, Reading, ReviewItem
from triage.review.words import Kind, ReaderVerdict
from triage.verdict import BundleId, Route


def decision_record(row: Decision) -> DecisionRecord:
    """A decision."""
    return DecisionRecord(
        content_sha256=row.content_sha256,
        bundle=BundleId(name=row.bundle_name, version=row.bundle_version, digest=row.bundle_digest),
        route=Route(row.route),
        code=row.code,
        score=row.score,
        limit=row.limit,
        decided_at=row.decided_at,
        current=row.current,
    )


def claim_record(row: Lease) -> Claim:
    """A lease."""
    return Claim(item_id=row.item_id, by=row.account.name, since=row.since, until=row.until)


def queue_row(item: ReviewItem, claimed_by: str | None) -> QueueRow:
    """A line of the queue."""
    return QueueRow(
        item_id=item.id,
        pseudonym=item.pseudonym,
        route=Route(item.route),
        doubt=item.doubt,
        signal=item.signal,
        reason=item.reason,
        waiting_since=item.waiting_since,
        claimed_by=claimed_by,
    )


def correction_record(row: Correction) -> CorrectionRecord:
    """A correction."""
    return CorrectionRecord(sha256=row.sha256, path=row.path, by=row.account.name, at=row.at)


def reading_record(row: Reading) -> ReadingRecord:
    """A reading, without its note."""
    return ReadingRecord(
        pseudonym=row.item.pseudonym,
        kind=Kind(row.item.kind),
        decision=decision_record(row.decision),
        verdict=ReaderVerdict(row.verdict),
        code=row.code,
        by=row.account.name,
        since=row.since,
        at=row.at,
        final=row.final,
        correction=correction_record(row.correction) if row.correction else None,
    )


def noted_reading(row: Reading) -> NotedReading:
    """A reading with its note."""
    return NotedReading(reading=reading_record(row), note=row.note)


def live_record(row: Live) -> LiveRecord:
    """A time of being live."""
    return LiveRecord(
        bundle=BundleId(name=row.bundle_name, version=row.bundle_version, digest=row.bundle_digest),
        mlflow_version=row.mlflow_version,
        since=row.since,
        until=row.until,
        by=row.by,
        because=row.because,
    )
