"""The rows of a measured prior: which scans they are of, and what changes between two settings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.bench.page import Results
from pipelines.metrics import FEWEST, subject_interval

MEASURES = ("dice", "nll", "brier", "ece")
NAMES = {"dice": "Dice", "nll": "NLL", "brier": "Brier", "ece": "ECE"}
GAINED = ("condition", *(f"change of {NAMES[m]}" for m in MEASURES), "beta asked for")
GROUPS = {
    "OASIS, tune": ("malf_1000", "malf_1011"),
    "OASIS, test": ("malf_1006", "malf_1014"),
    "IXI, test": ("ixi_",),
}
UNSEEN = ("OASIS, test", "IXI, test")
Row = Mapping[str, Any]


def usual(found: Row) -> str:
    """The setting with the beta of the clean scans."""
    return "usual" if "usual" in found["rows"] else "prior"


def of_group(rows: Iterable[Row], group: str) -> list[Row]:
    """The rows of one of GROUPS."""
    return [row for row in rows if row["case"].startswith(GROUPS[group])]


def unseen(rows: Sequence[Row]) -> list[Row]:
    """The rows of scans that nothing was fitted on."""
    return [row for group in UNSEEN for row in of_group(rows, group)]


def value(row: Row, measure: str) -> float:
    """One measure of one scan; of the Dice the mean over structures."""
    if measure != "dice":
        return float(row[measure])
    return float(np.mean([dice for dice in row["dice"].values() if dice is not None]))


def gain(without: Sequence[Row], with_prior: Sequence[Row], measure: str) -> str:
    """Mean change with its interval over subjects."""
    return mean_change([value(b, measure) - value(a, measure) for a, b in zip(without, with_prior, strict=True)])


def gains(found: Results) -> list[str | float]:
    """What the prior changes on scans that nothing was fitted on, and the beta that the condition asks for: GAINED."""
    none, held = (unseen(found["rows"][s]) for s in ("none", usual(found)))
    return [*(gain(none, held, m) for m in MEASURES), float(found["fits"]["prior"]["beta"])]


def changes(found: Results, measure: str) -> list[float]:
    """What the prior changes in each scan that nothing was fitted on."""
    none, held = (unseen(found["rows"][s]) for s in ("none", usual(found)))
    return [value(b, measure) - value(a, measure) for a, b in zip(none, held, strict=True)]


def both(found: Results, group: str, measure: str) -> tuple[float, float]:
    """Means over the scans of a group, without and with the prior."""
    none, held = (of_group(found["rows"][s], group) for s in ("none", usual(found)))
    return float(np.mean([value(row, measure) for row in none])), float(np.mean([value(row, measure) for row in held]))


def structure_changes(without: Sequence[Row], with_prior: Sequence[Row], key: str) -> list[float]:
    """Change of the Dice of one structure, in the scans whose labels have it."""
    pairs = ((a["dice"][key], b["dice"][key]) for a, b in zip(without, with_prior, strict=True))
    return [b - a for a, b in pairs if a is not None and b is not None]


def mean_change(changes: Sequence[float]) -> str:
    """With its interval over subjects, where there are enough of them."""
    mean = f"{float(np.mean(changes)):+.4f}"
    if len(changes) < FEWEST:
        return mean
    low, high = subject_interval(changes, lambda some: float(np.mean(some)))
    return f"{mean} ({low:+.4f} to {high:+.4f})"


def without(found: Results, group: str, measure: str) -> float:
    """Mean over the scans of a group, with a temperature and no prior."""
    return float(np.mean([value(row, measure) for row in of_group(found["rows"]["none"], group)]))


def change(found: Results, group: str, measure: str) -> float:
    """What the prior changes of it."""
    with_prior = float(np.mean([value(row, measure) for row in of_group(found["rows"]["prior"], group)]))
    return with_prior - without(found, group, measure)
