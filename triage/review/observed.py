"""What the monitor of a bundle is rebuilt from: the cases that it decided, and the blind readings of accepted ones."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from triage.review.database import transaction
from triage.review.tables import Decision, Reading, ReviewItem
from triage.review.words import Kind, ReaderVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Of one bundle, in the order of time. cases: content -> signals, which may be NaN. drawn: for blind review."""

    cases: Mapping[str, Mapping[str, float]]
    drawn: int
    verdicts: tuple[ReaderVerdict, ...]


def observed(engine: Engine, bundle_digest: str) -> Observed:
    """All of it, at one moment. A case that was decided again counts once, where it came first."""
    cases = select(Decision.content_sha256, Decision.signals).where(
        Decision.bundle_digest == bundle_digest, Decision.signals.is_not(None)
    )
    blind = (
        select(ReviewItem.id)
        .join(Decision, ReviewItem.decision_id == Decision.id)
        .where(Decision.bundle_digest == bundle_digest, ReviewItem.kind == Kind.BLIND.value)
    )
    verdicts = select(Reading.verdict).where(Reading.item_id.in_(blind), Reading.final)
    with transaction(engine, reads_only=True) as session:
        rows = session.execute(cases.order_by(Decision.id)).all()
        return Observed(
            cases={content: _numbers(signals or {}) for content, signals in rows},
            drawn=session.scalar(select(func.count()).select_from(blind.subquery())) or 0,
            verdicts=tuple(ReaderVerdict(v) for v in session.scalars(verdicts.order_by(Reading.at, Reading.id))),
        )


def _numbers(signals: Mapping[str, float | str]) -> dict[str, float]:
    return {name: float(value) for name, value in signals.items()}
