"""What a score catches of the failures among cases, as the page of the gate counts it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]


def values(rows: Rows, name: str) -> NDArray[np.float64]:
    """(n,) a score; what is no number is the worst."""
    return np.array([math.inf if one[name] is None else one[name] for one in rows], float)


def losses(rows: Rows) -> NDArray[np.float64]:
    """(n,) 1 for a failed case."""
    return np.array([bool(one["failed"]) for one in rows], float)


def with_lesions(rows: Rows) -> Rows:
    """The same cases, of which those that miss a lesion failed as well."""
    return [{**one, "failed": [*one["failed"], *one["missed"]]} for one in rows]


def caught(rows: Rows, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of cases flagged, and share of failures among them, as the limit goes from loose to strict."""
    order = np.argsort(-values(rows, name), kind="stable")
    bad = losses(rows)[order]
    return np.arange(len(bad) + 1) / len(bad), np.concatenate([[0.0], np.cumsum(bad) / max(1.0, bad.sum())])


def caught_at(rows: Rows, name: str, flagged: float) -> float:
    """Share of failures caught when at most this share of the cases is flagged."""
    shares, found = caught(rows, name)
    return float(found[shares <= flagged + 1e-9][-1])


def at_best(rows: Rows, flagged: float) -> float:
    """Share of failures that a score could catch that ranks every failure first."""
    return min(1.0, math.floor(flagged * len(rows) + 1e-9) / max(1.0, float(losses(rows).sum())))
