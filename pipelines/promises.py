"""What a bundle's operating point has certified, with the evaluation behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from pipelines.kept import number
from triage.gate.operating_point import FILE, read_from


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a calibration is asked to promise; the defaults are those of a bundle that was never calibrated.

    whatever_holds: where all risks are refused, the risk that holds is promised instead.
    """

    risks: tuple[float, ...] = (0.05,)
    lesion_risks: tuple[float, ...] = ()
    confidence: float = 0.95
    whatever_holds: bool = False


def read_promises(bundle: Path) -> Promises:
    """The certified curve of a bundle's operating point."""
    return read_from(bundle / FILE, _promises)


def read_asked(bundle: Path) -> Asked:
    """What the last calibration of a bundle's limits was asked for; new weights are to be asked for the same."""
    return read_from(bundle / FILE, _asked)


def asked_for(
    bundle: Path,
    risks: Sequence[float] | None,
    lesion_risks: Sequence[float] | None,
    confidence: float | None,
    *,
    whatever_holds: bool | None,
) -> Asked:
    """What a user asks for. Whoever names no risk asks for what was asked of the bundle before."""
    before = Asked(risks=tuple(risks)) if risks else read_asked(bundle)
    return Asked(
        risks=before.risks,
        lesion_risks=tuple(lesion_risks or before.lesion_risks),
        confidence=before.confidence if confidence is None else confidence,
        whatever_holds=before.whatever_holds if whatever_holds is None else whatever_holds,
    )


def _promises(found: Mapping[str, Any]) -> Promises:
    evaluation = found.get("evaluation") or {}
    return Promises(
        risk=number(evaluation.get("risk")),
        confidence=number(evaluation.get("confidence")),
        curve=tuple(sorted(map(_point, evaluation.get("curve", ())), key=lambda point: point.score_limit)),
        signals={name: tuple(map(float, values)) for name, values in evaluation.get("signals", {}).items()},
    )


def _asked(found: Mapping[str, Any]) -> Asked:
    evaluation = found.get("evaluation") or {}
    if not evaluation.get("levels"):
        return Asked()
    risks = [float(level["risk"]) for level in evaluation["levels"]]
    held = len(risks) > 1 and risks[-1] > risks[-2]  # risks asked for fall; what holds stands above them, last
    return Asked(
        risks=tuple(risks[:-1] if held else risks),
        lesion_risks=tuple(float(level["risk"]) for level in evaluation["lesion_levels"]),
        confidence=float(evaluation["confidence"]),
        whatever_holds=held,
    )


def _point(row: Mapping[str, Any]) -> CurvePoint:
    return CurvePoint(
        score_limit=float(row["score_limit"]),
        n=int(row["n"]),
        accepted=int(row["accepted"]),
        failures=int(row["failures"]),
        upper_bound=float(row["upper_bound"]),
    )
