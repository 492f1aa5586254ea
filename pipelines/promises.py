"""What a bundle's operating point has certified, with the evaluation behind it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from triage.errors import TriageError
from triage.gate.operating_point import FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One limit of the score on the n calibration cases. upper_bound: of the failure rate among those accepted."""

    score_limit: float
    n: int
    accepted: int
    failures: int
    upper_bound: float

    @property
    def flagged(self) -> float:
        """Share of the calibration cases that it sends to a human."""
        return 1 - self.accepted / self.n

    @property
    def flagged_interval(self) -> tuple[float, float]:
        """95 % interval of that share. Source: Clopper and Pearson 1934, Biometrika 26."""
        interval = binomtest(self.n - self.accepted, self.n).proportion_ci(0.95, method="exact")
        return float(interval.low), float(interval.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """What the operating point of a bundle has certified. risk: NaN when it was refused; no curve when none was tried.

    curve: limits that were fixed beforehand, from strict to loose. signals: values on the accepted calibration cases.
    """

    risk: float
    confidence: float
    curve: tuple[CurvePoint, ...]
    signals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def loosest(self, risk: float) -> CurvePoint | None:
        """The last limit that keeps the risk before the first that does not; None when the strictest does not.

        Source: fixed-sequence testing, Angelopoulos et al. 2021, arXiv:2110.01052, algorithm 1.
        """
        kept = list(takewhile(lambda point: point.upper_bound <= risk, self.curve))
        return kept[-1] if kept else None


def read_promises(bundle: Path) -> Promises:
    """The certified curve of a bundle's operating point."""
    try:
        evaluation: Mapping[str, Any] = json.loads((bundle / FILE).read_text()).get("evaluation") or {}
        return Promises(
            risk=_number(evaluation.get("risk")),
            confidence=_number(evaluation.get("confidence")),
            curve=tuple(sorted(map(_point, evaluation.get("curve", ())), key=lambda point: point.score_limit)),
            signals={name: tuple(map(float, values)) for name, values in evaluation.get("signals", {}).items()},
        )
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise TriageError(
            f"The bundle's {FILE} cannot be used ({error!r}).", do="Take the bundle from its source again."
        ) from error


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _point(row: Mapping[str, Any]) -> CurvePoint:
    return CurvePoint(
        score_limit=float(row["score_limit"]),
        n=int(row["n"]),
        accepted=int(row["accepted"]),
        failures=int(row["failures"]),
        upper_bound=float(row["upper_bound"]),
    )
