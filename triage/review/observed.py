"""What the monitor of a bundle is rebuilt from: the cases that its gate accepted, and blind readings of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from triage.review.database import transaction
from triage.review.tables import Decision, Reading, ReviewItem
from triage.review.words import Kind, ReaderVerdict
from triage.verdict import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Of one bundle, in the order of time. cases: content -> signals, which may be NaN. drawn: for blind review."""

    cases: Mapping[str, Mapping[str, float]]
    drawn: int
    verdicts: tuple[ReaderVerdict, ...]


def observed(engine: Engine, bundle_digest: str, *, held: str) -> Observed:
    """All of it, at one moment. A case that was decided again counts once, where it came first.

    held: name of the reason for which the monitor alone sends a case to a human; its gate had accepted it.
    """
    decided = select(Decision).where(Decision.bundle_digest == bundle_digest).order_by(Decision.id)
    blind = (
        select(ReviewItem.id)
        .join(Decision, ReviewItem.decision_id == Decision.id)
        .where(Decision.bundle_digest == bundle_digest, ReviewItem.kind == Kind.BLIND.value)
    )
    verdicts = select(Reading.verdict).where(Reading.item_id.in_(blind), Reading.final)
    with transaction(engine, reads_only=True) as session:
        accepted = [row for row in session.scalars(decided) if _accepted(row, held)]
        return Observed(
            cases={row.content_sha256: _numbers(row.signals or {}) for row in accepted},
            drawn=session.scalar(select(func.count()).select_from(blind.subquery())) or 0,
            verdicts=tuple(ReaderVerdict(v) for v in session.scalars(verdicts.order_by(Reading.at, Reading.id))),
        )


def _accepted(row: Decision, held: str) -> bool:
    """By the gate, while signals were kept."""
    by_gate = row.route == Route.ACCEPTED.value or any(reason["signal"] == held for reason in row.reasons)
    return by_gate and row.signals is not None


def _numbers(signals: Mapping[str, float | str]) -> dict[str, float]:
    return {name: float(value) for name, value in signals.items()}
