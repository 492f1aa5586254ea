"""What a retraining changed, drawn: Dice with the reviewers' labels before and after, for each structure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.page import COLOURS, plot
from triage.anatomy import STRUCTURES

PLOT = "dice.png"
TITLES = {"train": "Corrections that taught", "tune": "Corrections that did not"}


def draw_dice(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """rows: case, split, when ("before" or "after") and dice by structure, as `retrain_stages` leaves them."""
    splits = [split for split in TITLES if any(row["split"] == split for row in rows)]
    with plot(path, columns=len(splits), inches=(1 + 3.4 * len(splits), 3.6)) as found:
        for axes, split in zip(np.atleast_1d(found), splits, strict=True):
            for y, structure in enumerate(reversed(STRUCTURES)):
                values = {
                    when: [row["dice"][structure.key] for row in rows if _is(row, split, when, structure.key)]
                    for when in ("before", "after")
                }
                if not values["before"]:
                    continue
                before, after = (float(np.mean(values[when])) for when in ("before", "after"))
                axes.plot([before, after], [y, y], color="#bbbbbb", zorder=1)
                axes.scatter(before, y, color=COLOURS[7], s=18, label="before" if y == 1 else None)
                axes.scatter(after, y, color=COLOURS[0], s=26, label="after" if y == 1 else None)
            axes.set_yticks(range(len(STRUCTURES)), [s.name for s in reversed(STRUCTURES)])
            axes.set_xlabel("Dice with the reviewers' labels")
            axes.set_title(TITLES[split])
            axes.legend(loc="lower left")


def _is(row: Mapping[str, Any], split: str, when: str, key: str) -> bool:
    return row["split"] == split and row["when"] == when and key in row["dice"]
