"""A report as the row that remembers it."""

import math
from datetime import datetime
from typing import Any

from triage.case import RefusedInput
from triage.review.tables import Decision
from triage.verdict import Reason, Report


def decision_of(report: Report, at: datetime) -> Decision:
    """The row of a report."""
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


def outcome(decision: Decision) -> dict[str, Any]:
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


def brought_up_to_date(old: Decision, new: Decision) -> Decision:
    """The old row with what was decided anew."""
    decided = ("route", "code", "score", "limit", "action", "reasons", "signals", "decided_at")
    for name in ("bundle_name", "bundle_version", *decided):
        setattr(old, name, getattr(new, name))
    return old
