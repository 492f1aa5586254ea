"""Which bundle was live when, and what each bundle decided: the history that MLflow does not keep."""

import json
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine, or_, select

from triage.errors import TriageError
from triage.review import audit
from triage.review.database import now, transaction
from triage.review.records import DecidedCase, LastDecision, LiveRecord
from triage.review.rows import decision_record, live_record
from triage.review.tables import AuditRow, Decision, Live
from triage.verdict import BundleId

SHORTEST_DIGEST = 8


class History:
    """The history in the review database."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._clock = clock

    def go_live(self, bundle: BundleId, *, by: str, because: str, mlflow_version: str | None = None) -> None:
        """From now on this bundle is live and the one before is not; an audit row. Nothing when it is live already."""
        at = self._clock()
        with transaction(self._engine) as session:
            before = session.scalar(select(Live).where(Live.until.is_(None)))
            if before is not None and before.bundle_digest == bundle.digest:
                return
            if before is not None:
                before.until = at
            session.add(
                Live(
                    bundle_name=bundle.name,
                    bundle_version=bundle.version,
                    bundle_digest=bundle.digest,
                    mlflow_version=mlflow_version,
                    since=at,
                    by=by,
                    because=because,
                )
            )
            content: dict[str, audit.Json] = {
                "bundle": [bundle.name, bundle.version, bundle.digest],
                "before": before.bundle_digest if before else None,
                "mlflow_version": mlflow_version,
                "because": because,
            }
            audit.append(session, at=at, actor=by, event="live", content=content)

    def live(self) -> LiveRecord | None:
        """The bundle that is live now; None before the first run or promotion."""
        return self.live_at(self._clock())

    def live_at(self, moment: datetime) -> LiveRecord | None:
        """The bundle that was live at a moment, from `since` on and before `until`; None before the first."""
        query = select(Live).where(Live.since <= moment, or_(Live.until.is_(None), Live.until > moment))
        with transaction(self._engine, reads_only=True) as session:
            row = session.scalar(query.order_by(Live.id.desc()).limit(1))
            return live_record(row) if row else None

    def lives(self) -> tuple[LiveRecord, ...]:
        """Every bundle that was ever live, oldest first; `rollback` goes to the last but one."""
        with transaction(self._engine, reads_only=True) as session:
            return tuple(live_record(row) for row in session.scalars(select(Live).order_by(Live.id)))

    def last_decision(self, moment: datetime) -> LastDecision | None:
        """The last decision up to a moment, whether or not its bundle had been promoted; None before the first.

        From the audit trail: a decision that was taken again later is there as it was.
        """
        rows = select(AuditRow.content).where(AuditRow.content.contains('"event":"decided'))
        with transaction(self._engine, reads_only=True) as session:
            for content in session.scalars(rows.order_by(AuditRow.sequence.desc()).execution_options(yield_per=1000)):
                said = json.loads(content)
                if (at := datetime.fromisoformat(said["at"])) <= moment:
                    name, version, digest = said["bundle"]
                    return LastDecision(bundle=BundleId(name=name, version=version, digest=digest), at=at)
        return None

    def decided_by(self, bundle: str) -> tuple[DecidedCase, ...]:
        """Every case decided by a bundle, in order of time; by the digest or at least 8 of its first characters.

        Raises TriageError when the beginning names two bundles, or none.
        """
        with transaction(self._engine, reads_only=True) as session:
            known = select(Decision.bundle_digest).where(Decision.bundle_digest.startswith(bundle, autoescape=True))
            digests = session.scalars(known.distinct().limit(2)).all()
            if len(bundle) < SHORTEST_DIGEST or len(digests) != 1:
                raise TriageError(
                    f"No one bundle that decided anything has a digest that begins with {bundle}.",
                    do=f"Give at least {SHORTEST_DIGEST} characters of the digest as the report shows it.",
                )
            rows = session.scalars(
                select(Decision).where(Decision.bundle_digest == digests[0]).order_by(Decision.decided_at, Decision.id)
            )
            return tuple(DecidedCase(pseudonym=row.pseudonym, decision=decision_record(row)) for row in rows)
