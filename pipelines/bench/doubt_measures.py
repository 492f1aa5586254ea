"""What of a judged volume counts as doubt, and what as error."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.bench.doubt_cases import CLEAN, SHIPPED, Row
from pipelines.kept import number
from pipelines.metrics import spearman

Measure = Callable[[Row], float]

BAD_LOSS = 0.1
"""A degraded scan failed when its mean Dice lies this much below that of the scan as it was."""


def of_predictor(name: str, what: str) -> Measure:
    """what: entropy or information, of one predictor."""
    return lambda row: number(row["predictors"][name][what])


def of_row(name: str) -> Measure:
    """A measure that belongs to no predictor."""
    return lambda row: number(row[name])


def share_of_limit(name: str, limit: Sequence[float]) -> Measure:
    """What a measure adds to the gate's score: 0 at what is typical, 1 at what sends a case to a human by itself."""
    typical, highest = limit
    return lambda row: float(np.maximum(0.0, (number(row[name]) - typical) / (highest - typical)))


MEASURES: Mapping[str, Measure] = {
    "entropy, softmax": of_predictor("softmax", "entropy"),
    "entropy, softmax with temperature": of_predictor("softmax, temperature", "entropy"),
    "entropy, posterior": of_predictor("posterior", "entropy"),
    "entropy, posterior and prior": of_predictor(SHIPPED, "entropy"),
    "mutual information": of_predictor("posterior", "information"),
    "disagreement of samples": of_row("disagreement"),
    "feature density": of_row("density"),
    "conflict with anatomy": of_row("conflict"),
}


def with_error(row: Row, rows: Sequence[Row]) -> Row:
    """The row with its error, 1 - mean Dice, and whether it failed; NaN and False without labels."""
    if not row["dice"]:
        return row | {"error": math.nan, "failed": False}
    clean = next(_error(r) for r in rows if r["case"] == row["case"] and r["kind"] == CLEAN)
    return row | {"error": _error(row), "failed": _error(row) > clean + BAD_LOSS}


def labelled(rows: Sequence[Row], kind: str | None = None) -> list[Row]:
    """Rows with labels; with those of one kind of damage come the scans as they are."""
    return [row for row in rows if row["dice"] and (kind is None or row["kind"] in {kind, CLEAN})]


def values(rows: Sequence[Row], measure: Measure) -> NDArray[np.float64]:
    """(n,), NaN where it could not be told."""
    return np.array([measure(row) for row in rows], float)


def at_level(rows: Sequence[Row], kind: str, level: int, measure: Measure) -> NDArray[np.float64]:
    """One value a scan; level 0 are the scans as they are."""
    return values([r for r in rows if r["kind"] == (kind if level else CLEAN) and r["level"] == level], measure)


def rise(rows: Sequence[Row], kind: str, measure: Measure, level: int = 5) -> float:
    """Mean over scans at a level of damage, over the mean at none."""
    return float(at_level(rows, kind, level, measure).mean() / at_level(rows, kind, 0, measure).mean())


def within_scans(rows: Sequence[Row], measure: Measure) -> float:
    """Spearman's correlation with the error over one scan and its damaged copies, mean over scans."""
    scans = [[row for row in rows if row["case"] == case] for case in dict.fromkeys(row["case"] for row in rows)]
    return float(np.mean([spearman(values(one, measure), values(one, of_row("error"))) for one in scans]))


def _error(row: Row) -> float:
    return 1 - float(np.mean(list(row["dice"].values())))
