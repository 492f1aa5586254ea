"""The operating point: limits that belong to a bundle's weights, and what they promise."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from triage.case import Series, Weighting, in_tesla
from triage.errors import TriageError
from triage.gate.signals import FAR_MM, NOT_IN_EVERY_BUNDLE, SIGNALS

T = TypeVar("T")

FILE = "operating_point.json"
VERSION = 2
READABLE = (1, 2)
"""Version 1 could not say that nothing may be accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One signal's share of the score: 0 up to `typical`, 1 at `limit`, linear above, so monotone.

    typical: the largest value that a good scan shows. limit: the value at which this signal alone sends to a human.
    """

    typical: float
    limit: float

    def __post_init__(self) -> None:
        if not 0 < self.limit - self.typical < math.inf:
            raise ValueError(f"a limit must be finite and above typical, got {self.typical}, {self.limit}")

    def part(self, value: float) -> float:
        """Share of the score, >= 0; NaN for NaN, and for minus infinity, which no signal can honestly be."""
        if not value > -math.inf:
            return math.nan
        return max(0.0, (value - self.typical) / (self.limit - self.typical))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OperatingPoint:
    """limits: one for every signal that the bundle gives. score_limit: accepted is a score at or under it.

    accepts: whether anything may be accepted; not when certifying was tried and the data could not carry a limit.
    usual_entropy: see `Evidence`.
    weightings, youngest_years, oldest_years: the population that the limits speak for; others go to a human. The oldest
    is in completed years, so 74 lasts until the 75th birthday; infinity where none is known.
    promise: in a reader's words. certified: whether a guarantee was tested on calibration cases.
    covered: groups that the promise was shown for by themselves, such as "vendor GE".
    """

    limits: Mapping[str, Limit]
    score_limit: float
    accepts: bool
    usual_entropy: NDArray[np.float64]
    weightings: frozenset[str]
    youngest_years: float
    oldest_years: float
    certified: bool
    promise: str
    covered: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not set(SIGNALS) - NOT_IN_EVERY_BUNDLE <= set(self.limits) <= set(SIGNALS):
            raise ValueError(f"limits are needed for {sorted(SIGNALS)}, got {sorted(self.limits)}")
        if self.usual_entropy.shape != (FAR_MM + 1,) or not np.isfinite(self.usual_entropy).all():
            raise ValueError(f"usual_entropy must be {FAR_MM + 1} finite values, got {self.usual_entropy.tolist()}")
        if not (math.isfinite(self.score_limit) and math.isfinite(self.youngest_years)):
            raise ValueError(f"limits must be finite, got score {self.score_limit}, age {self.youngest_years}")
        if not self.youngest_years <= self.oldest_years:
            raise ValueError(f"nobody is from {self.youngest_years} to {self.oldest_years} years old")
        if self.certified and not self.accepts:
            raise ValueError("a limit that is certified accepts")

    def speaks_for(self, age_years: float | None) -> bool:
        """Whether this age is of the population; one that is not stated is taken for one of it, NaN is not."""
        return age_years is None or self.youngest_years <= age_years < self.oldest_years + 1

    def promise_for(self, series: Series) -> str:
        """The promise, and of which groups of its scanner, where the header tells them, it was not shown by itself."""
        known = [f"vendor {series.manufacturer}"] if series.manufacturer != "other" else []
        known += [f"field strength {in_tesla(series.field_strength_t)}"] if series.field_strength_t else []
        unshown = [group for group in known if group not in self.covered]
        if not (self.certified and unshown):
            return self.promise
        return f"{self.promise} The promise is not shown for {' or '.join(unshown)} by itself."

    @property
    def ages(self) -> str:
        """The population's, such as "from 18 to 74 years"."""
        to = f" to {self.oldest_years:g}" if math.isfinite(self.oldest_years) else ""
        return f"from {self.youngest_years:g}{to} years"


def read_operating_point(path: Path) -> OperatingPoint:
    """Read operating_point.json. Raises TriageError when it is missing or cannot be used: then nothing is decided."""
    return read_from(path, _operating_point)


def read_from(path: Path, part: Callable[[Any], T]) -> T:
    """A part of operating_point.json, by what makes it of the JSON. Raises TriageError when it cannot be used."""
    try:
        return part(json.loads(path.read_text()))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise TriageError(
            f"The bundle's {FILE} cannot be used ({error!r}).", do="Take the bundle from its source again."
        ) from error


def _operating_point(found: Any) -> OperatingPoint:
    if found["version"] not in READABLE:
        raise ValueError(f"version {found['version']}, this program reads {READABLE}")
    return OperatingPoint(
        limits={k: Limit(typical=float(v["typical"]), limit=float(v["limit"])) for k, v in found["limits"].items()},
        score_limit=float(found["score_limit"]),
        accepts=found["version"] == 1 or _flag(found, "accepts"),
        usual_entropy=np.array(found["usual_entropy_nats"], np.float64),
        weightings=frozenset(Weighting(w) for w in found["population"]["weightings"]),
        youngest_years=float(found["population"]["youngest_years"]),
        oldest_years=_or_unbounded(found["population"].get("oldest_years")),
        certified=_flag(found, "certified"),
        promise=str(found["promise"]),
        covered=frozenset(g["group"] for g in (found.get("evaluation") or {}).get("groups", ()) if g["covered"]),
    )


def _or_unbounded(years: float | None) -> float:
    """Older files do not say to which age their limits were set."""
    return math.inf if years is None else float(years)


def _flag(found: Any, name: str) -> bool:
    if not isinstance(found[name], bool):
        raise TypeError(f"{name} must be true or false, got {found[name]!r}")
    return bool(found[name])
