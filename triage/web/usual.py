"""What is usual: the volumes of the cases that were accepted here, so that a reader sees what stands out."""

import csv
import math
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triage.report.as_csv import CASES, MEASURED
from triage.verdict import Route

FEWEST = 20
"""Fewer accepted cases say nothing about the 5th and 95th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """5th percentile, median and 95th percentile of one structure over accepted cases, in its own unit."""

    low: float
    median: float
    high: float


class UsualVolumes:
    """The ranges by key of measurement, read from the run's table again whenever it has changed."""

    def __init__(self, out: Path) -> None:
        self._table = out / CASES
        self._lock = threading.Lock()
        self._read: tuple[int, Mapping[str, Range]] = (-1, {})

    def ranges(self) -> Mapping[str, Range]:
        """Empty when fewer than `FEWEST` cases were accepted."""
        try:
            changed_at = self._table.stat().st_mtime_ns
        except OSError:
            return {}
        with self._lock:
            if self._read[0] != changed_at:
                self._read = (changed_at, usual_volumes(self._table))
            return self._read[1]


def usual_volumes(table: Path) -> Mapping[str, Range]:
    """The ranges over the accepted rows of a cases.csv."""
    columns: defaultdict[str, list[float]] = defaultdict(list)
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["route"] == Route.ACCEPTED.value:
                for key in MEASURED:
                    columns[key].append(_number(row.get(f"{key}_ml") or row.get(key)))
    return {key: _range(values) for key, values in columns.items() if _enough(values)}


def _number(cell: str | None) -> float:
    return float(cell) if cell else math.nan


def _enough(values: list[float]) -> bool:
    return sum(map(math.isfinite, values)) >= FEWEST


def _range(values: list[float]) -> Range:
    low, median, high = np.nanpercentile(values, (5, 50, 95))
    return Range(low=float(low), median=float(median), high=float(high))
