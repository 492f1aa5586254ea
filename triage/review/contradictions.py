"""Whether the tables still hold what the audit trail says of them: decisions, readings, and what was live when.

Each is written together with its row of the trail, so that editing one alone shows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from triage.review import audit
from triage.review.decisions import outcome
from triage.review.tables import AuditRow, Decision, Live, Reading

Key = tuple[str, ...]
"""What a record is, in a reader's word, and which one."""


def contradiction(session: Session) -> audit.Broken | None:
    """The first row of a whole trail that its record no longer agrees with; a record without a row, behind all rows."""
    held = dict(_held(session))
    said, rows = _said(session)
    wrong = {sequence: key for key, (sequence, digest) in said.items() if held.get(key) != digest}
    if wrong:
        first = min(wrong)
        return audit.Broken(sequence=first, why=f"the {wrong[first][0]} that it speaks of was edited or deleted")
    for kind, *_ in held.keys() - said.keys():
        return audit.Broken(sequence=rows + 1, why=f"a {kind} is there of which no row speaks")
    return None


def _said(session: Session) -> tuple[dict[Key, tuple[int, bytes]], int]:
    """Number and digest of the latest row that speaks of each record, and how many rows there are."""
    said: dict[Key, tuple[int, bytes]] = {}
    lives: list[tuple[int, dict[str, audit.Json]]] = []
    sequence = 0
    for sequence, content in session.execute(select(AuditRow.sequence, AuditRow.content).order_by(AuditRow.sequence)):
        row = json.loads(content)
        match row.pop("event"):
            case "decided" | "decided_again":
                facts = {name: value for name, value in row.items() if name not in ("actor", "blind")}
                said[_decided(row["pseudonym"], row["content_sha256"], row["bundle"][-1])] = sequence, _digest(facts)
            case "read":
                said[_read(row["item"], row["ordinal"])] = sequence, _digest(row)
            case "live":
                del row["before"]
                if lives:
                    lives[-1][1]["until"] = row["at"]
                lives.append((sequence, {**row, "until": None}))
    said |= {_live(number): (sequence, _digest(facts)) for number, (sequence, facts) in enumerate(lives)}
    return said, sequence


def _held(session: Session) -> Iterator[tuple[Key, bytes]]:
    """The same of every record, in the words of its row."""
    for decision in session.scalars(select(Decision)).yield_per(1000):
        key = _decided(decision.pseudonym, decision.content_sha256, decision.bundle_digest)
        yield key, _digest({**outcome(decision), "at": _moment(decision.decided_at)})
    related = (Reading.item, Reading.decision, Reading.account, Reading.correction)
    for reading in session.scalars(select(Reading).options(*map(joinedload, related))).yield_per(1000):
        facts: dict[str, audit.Json] = {
            "at": _moment(reading.at),
            "actor": reading.account.name,
            "item": reading.item_id,
            "pseudonym": reading.item.pseudonym,
            "content_sha256": reading.decision.content_sha256,
            "bundle_digest": reading.decision.bundle_digest,
            "verdict": reading.verdict,
            "code": reading.code,
            "correction_sha256": reading.correction.sha256 if reading.correction else None,
            "ordinal": reading.ordinal,
            "final": reading.final,
        }
        yield _read(reading.item_id, reading.ordinal), _digest(facts)
    for number, live in enumerate(session.scalars(select(Live).order_by(Live.id))):
        facts = {
            "at": _moment(live.since),
            "until": _moment(live.until) if live.until else None,
            "actor": live.by,
            "bundle": [live.bundle_name, live.bundle_version, live.bundle_digest],
            "mlflow_version": live.mlflow_version,
            "because": live.because,
        }
        yield _live(number), _digest(facts)


def _decided(pseudonym: str, content_sha256: str, bundle_digest: str) -> Key:
    return "decision", pseudonym, content_sha256, bundle_digest


def _read(item: int, ordinal: int) -> Key:
    return "reading", str(item), str(ordinal)


def _live(number: int) -> Key:
    return "time of being live", str(number)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _digest(facts: Mapping[str, audit.Json]) -> bytes:
    return hashlib.sha256(audit.canonical(facts).encode()).digest()
