"""What is decided: the verdict with its reasons and what is unusual where, and the report of a case."""

import math
from dataclasses import dataclass
from enum import StrEnum

from triage.case import Case, RefusedInput, Volume
from triage.prediction import Prediction


class Route(StrEnum):
    """Where a case goes; every case goes exactly one way."""

    ACCEPTED = "accepted"
    HUMAN_REVIEW = "human_review"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to look first. conformed: index on the conformed grid. scanner: nearest index on the scanner's grid.

    ras_mm: scanner RAS+ mm. structure: reader's name of the structure there.
    """

    conformed: tuple[int, int, int]
    scanner: tuple[int, int, int]
    ras_mm: tuple[float, float, float]
    structure: str


class Side(StrEnum):
    """Side of the patient."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both sides"
    MIDLINE = "midline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyShare:
    """What one structure holds of the brain's unusual entropy, and of its volume, [0, 1]. structure: reader's name.

    side: that which holds most of it.
    """

    structure: str
    side: Side
    share: float
    of_brain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One place of unusual entropy. nats: mean over 10 mm above what is usual. ml: around it, at half of that."""

    place: Place
    side: Side
    nats: float
    ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpretation:
    """Which structures and places carry the entropy that is unusual; largest first.

    misfit: share of the brain, [0, 1], where anatomy at this pose explains the image worse than at an unknown pose;
    large after a failed registration, small where one place differs. NaN: not told.
    slices: first and last slice of the scanner's grid that the place shown reaches; None: nothing is unusual there.
    """

    shares: tuple[EntropyShare, ...]
    spots: tuple[Spot, ...]
    misfit: float = math.nan
    slices: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason for a human to look. part: share of the score, 0 for a rule that stands outside it."""

    signal: str
    text: str
    value: float
    limit: float
    part: float
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalReading:
    """One signal of one case. value: larger is worse, may be NaN. limit: a human looks. part: share of the score."""

    name: str
    title: str
    value: float
    limit: float
    part: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The gate's decision on one case. The parts of `signals` sum to `score`; `reasons` are ordered, worst first.

    interpretation: of a flagged case with a brain.
    """

    route: Route
    score: float
    limit: float
    signals: tuple[SignalReading, ...]
    reasons: tuple[Reason, ...]
    action: str
    place: Place | None
    promise: str
    interpretation: Interpretation | None = None

    def __post_init__(self) -> None:
        if self.route is not Route.ACCEPTED and not self.reasons:
            raise ValueError(f"a case routed to {self.route} needs a reason")
        if self.route is Route.ACCEPTED and self.reasons:
            raise ValueError("an accepted case has no reason against it")
        if self.route is Route.ACCEPTED and not self.score <= self.limit:
            raise ValueError(f"an accepted case has a score within its limit, got {self.score} over {self.limit}")

    @property
    def doubt(self) -> float:
        """Order of the queue: the score; a score that is not a number comes first."""
        return math.inf if math.isnan(self.score) else self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleId:
    """Which model decided. digest: SHA-256 over the bundle's SHA256SUMS."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """Everything known of one decided case: writers turn it into files, the queue into a row.

    case: a `Case`, or a `RefusedInput` with verdict.route refused; then volume and prediction are None.
    """

    case: Case | RefusedInput
    verdict: Verdict
    bundle: BundleId
    volume: Volume | None = None
    prediction: Prediction | None = None

    def __post_init__(self) -> None:
        if self.verdict.route is Route.ACCEPTED and (self.prediction is None or self.volume is None):
            raise ValueError("an accepted case has a volume and a prediction")
