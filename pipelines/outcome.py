"""What came of a case and of a run: pseudonyms and numbers, fit for logs, tables and tracking."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from triage.case import RefusedInput
from triage.errors import Code
from triage.verdict import BundleId, Report, Route

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one case.

    score, limit, signals: may be NaN. seconds: by stage. kept: decided by an earlier run and found whole.
    """

    pseudonym: str
    content_sha256: str
    route: Route
    code: Code | None
    score: float
    limit: float
    signals: Mapping[str, float]
    seconds: Mapping[str, float]
    kept: bool = False

    def as_json(self) -> dict[str, Json]:
        """Plain JSON; NaN and infinities are words there."""
        return {
            "pseudonym": self.pseudonym,
            "content_sha256": self.content_sha256,
            "route": self.route.value,
            "code": self.code.value if self.code else None,
            "score": plain(self.score),
            "limit": plain(self.limit),
            "signals": {name: plain(value) for name, value in self.signals.items()},
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came of a run. cut_short: it was interrupted; what is missing is decided by the next run.

    warnings: what the operator should know of the run itself.
    """

    bundle: BundleId
    outcomes: tuple[Outcome, ...]
    skipped: Mapping[str, int]
    seconds: float
    cut_short: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Cases by route, all routes named."""
        found = Counter(outcome.route for outcome in self.outcomes)
        return {route.value: found[route] for route in Route}

    @property
    def decided_now(self) -> int:
        """Cases that this run decided; the others were decided before."""
        return sum(not outcome.kept for outcome in self.outcomes)

    @property
    def exit_status(self) -> int:
        """0: all decided. 2: some inputs refused. 1: the run did not finish."""
        if self.cut_short:
            return 1
        return 2 if self.counts[Route.REFUSED] else 0


def outcome_of(report: Report, seconds: Mapping[str, float]) -> Outcome:
    """The numbers of a report."""
    verdict = report.verdict
    return Outcome(
        pseudonym=report.case.pseudonym,
        content_sha256=report.case.content_sha256,
        route=verdict.route,
        code=report.case.code if isinstance(report.case, RefusedInput) else None,
        score=verdict.score,
        limit=verdict.limit,
        signals={signal.name: signal.value for signal in verdict.signals},
        seconds=seconds,
    )


def plain(value: float) -> float | str:
    """JSON has no NaN and no infinity: they become words, which `float` reads back."""
    return value if math.isfinite(value) else str(value)
