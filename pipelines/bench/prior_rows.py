"""The rows of a measured prior: which scans they are of, and what changes between two settings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.bench.page import Results
from pipelines.metrics import FEWEST, subject_interval

MEASURES = ("dice", "nll", "brier", "ece")
NAMES = {"dice": "Dice", "nll": "NLL", "brier": "Brier", "ece": "ECE"}
GROUPS = {
    "OASIS, tune": ("malf_1000", "malf_1011"),
    "OASIS, test": ("malf_1006", "malf_1014"),
    "IXI, test": ("ixi_",),
}
UNSEEN = ("OASIS, test", "IXI, test")
LABELS_POSE, ATLAS_ALONE = "labels_pose", "atlas_alone"
"""Settings with the atlas where the labels say, not where the network does: with the network, and without any."""
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


def mean_of(found: Results, setting: str, group: str, measure: str) -> float:
    """Mean over the scans of a group under one of the settings in `rows`."""
    return float(np.mean([value(row, measure) for row in of_group(found["rows"][setting], group)]))


def without(found: Results, group: str, measure: str) -> float:
    """Mean with a temperature and no prior."""
    return mean_of(found, "none", group, measure)


def change(found: Results, group: str, measure: str) -> float:
    """What the prior changes of it."""
    return mean_of(found, usual(found), group, measure) - without(found, group, measure)
