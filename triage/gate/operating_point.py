"""The operating point: limits that belong to a bundle's weights, and what they promise."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triage.errors import TriageError
from triage.gate.signals import FAR_MM, SIGNALS

FILE = "operating_point.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One signal's share of the score: 0 up to `typical`, 1 at `limit`, linear above, so monotone.

    typical: the largest value that a good scan shows. limit: the value at which this signal alone sends to a human.
    """

    typical: float
    limit: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.typical) and math.isfinite(self.limit) and self.limit > self.typical):
            raise ValueError(f"a limit must be finite and above typical, got {self.typical}, {self.limit}")

    def part(self, value: float) -> float:
        """Share of the score, >= 0; NaN for NaN."""
        return math.nan if math.isnan(value) else max(0.0, (value - self.typical) / (self.limit - self.typical))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatingPoint:
    """limits: one for every signal. score_limit: accepted is a score at or under it. usual_entropy: see `Evidence`.

    weightings, youngest_years: the population that the limits speak for; others go to a human.
    promise: in a reader's words. certified: whether a guarantee was tested on calibration cases.
    """

    limits: Mapping[str, Limit]
    score_limit: float
    usual_entropy: NDArray[np.float64]
    weightings: frozenset[str]
    youngest_years: float
    certified: bool
    promise: str

    def __post_init__(self) -> None:
        if set(self.limits) != set(SIGNALS):
            raise ValueError(f"limits are needed for {sorted(SIGNALS)}, got {sorted(self.limits)}")
        if self.usual_entropy.shape != (FAR_MM + 1,):
            raise ValueError(f"usual_entropy must have {FAR_MM + 1} values, got {self.usual_entropy.shape}")
        if not math.isfinite(self.score_limit):
            raise ValueError(f"score_limit must be finite, got {self.score_limit}")


def read_operating_point(path: Path) -> OperatingPoint:
    """Read operating_point.json. Raises TriageError when it is missing or cannot be used: then nothing is decided."""
    try:
        found = json.loads(path.read_text())
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']}, this program reads {VERSION}")
        return OperatingPoint(
            limits={k: Limit(typical=float(v["typical"]), limit=float(v["limit"])) for k, v in found["limits"].items()},
            score_limit=float(found["score_limit"]),
            usual_entropy=np.array(found["usual_entropy_nats"], np.float64),
            weightings=frozenset(found["population"]["weightings"]),
            youngest_years=float(found["population"]["youngest_years"]),
            certified=bool(found["certified"]),
            promise=str(found["promise"]),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TriageError(
            f"The bundle's {FILE} cannot be used ({error}).", do="Take the bundle from its source again."
        ) from error
