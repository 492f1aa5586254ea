"""Why a case was flagged, as a bar: the parts of the score side by side, and the limit they were held against."""

import math
from dataclasses import dataclass

from triage.verdict import SignalReading, Verdict

PART_COLOURS = (
    "#3b6fb5",
    "#b5476b",
    "#2f7d4f",
    "#8a6d1f",
    "#1f7a8c",
    "#7a4fa3",
    "#a8552d",
    "#6b6f76",
    "#4b5320",
    "#8c2f2f",
)
"""One a signal, in the order of the signals; each carries white text at 4.5:1 or more."""

_HEADROOM = 1.08
_SUM_TOLERANCE = 5e-4
"""Half of the last digit that the page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One part of the bar. number: its rank by size. left, width: percent of the bar's length."""

    signal: SignalReading
    number: int
    colour: str
    left: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """The score taken apart. limit_at: percent of the bar's length. rest: score minus the sum of its parts."""

    segments: tuple[Segment, ...]
    limit_at: float
    rest: float

    @property
    def adds_up(self) -> bool:
        """Whether the parts sum to the score as far as the page can show."""
        return abs(self.rest) <= _SUM_TOLERANCE


def decompose(verdict: Verdict) -> Decomposition:
    """Lays the parts out from zero, positive ones to the right and negative ones to the left, largest first."""
    parts = [s.part if math.isfinite(s.part) else 0.0 for s in verdict.signals]
    limit = verdict.limit if math.isfinite(verdict.limit) else 0.0
    low = math.fsum(p for p in parts if p < 0)
    high = max(math.fsum(p for p in parts if p > 0), limit, low + 1e-9)
    percent = 100 / (_HEADROOM * (high - low))
    segments, right, left = [], 0.0, 0.0
    by_size = sorted(range(len(parts)), key=lambda n: -abs(parts[n]))
    for rank, n in enumerate(by_size, start=1):
        part = parts[n]
        start = right if part >= 0 else left + part
        right, left = (right + part, left) if part >= 0 else (right, left + part)
        segments.append(
            Segment(
                signal=verdict.signals[n],
                number=rank,
                colour=PART_COLOURS[n % len(PART_COLOURS)],
                left=(start - low) * percent,
                width=abs(part) * percent,
            )
        )
    return Decomposition(
        segments=tuple(segments),
        limit_at=(limit - low) * percent,
        rest=verdict.score - math.fsum(parts),
    )
