"""The plots of docs/benchmarks/prior.md."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.bench.page import COLOURS, Results, plot
from pipelines.bench.prior_rows import GROUPS, NAMES, UNSEEN, Row, change, of_group, usual, value, without
from pipelines.bench.prior_text import CONDITION


def plot_worth(worth: Results, path: Path) -> None:
    with plot(path, columns=2, inches=(7.4, 3.2)) as axes:
        for panel, measure in zip(axes, ("dice", "nll"), strict=True):
            for number, found in enumerate(worth.values()):
                for colour, group in zip(COLOURS, GROUPS, strict=False):
                    none, held = (of_group(found["rows"][s], group) for s in ("none", usual(found)))
                    changes = [value(b, measure) - value(a, measure) for a, b in zip(none, held, strict=True)]
                    place = number + 0.18 * (list(GROUPS).index(group) - 1)
                    panel.plot([place] * len(changes), changes, "o", color=colour, ms=5, alpha=0.85,
                               label=group if not number else None)  # fmt: skip
            panel.axhline(0, color="#555555", linewidth=1)
            panel.set_xticks(range(len(worth)), [CONDITION[c].replace(", ", ",\n") for c in worth], fontsize=8)
            better = "up is better" if measure == "dice" else "down is better"
            panel.set_title(f"Change of {NAMES[measure]}: {better}")
        axes[0].legend(fontsize=8)


def plot_conflict(rows: Sequence[Row], path: Path) -> None:
    poses = list(dict.fromkeys(one["pose"] for one in rows[0]["conflict"]))
    with plot(path, columns=2, inches=(7.4, 3.2)) as axes:
        for panel, signal, title in zip(
            axes, ("mean", "worst_patch"), ("Mean over the brain", "Worst 10 mm patch"), strict=True
        ):
            for number, pose in enumerate(poses):
                at = [
                    one[signal] for row in rows for one in row["conflict"] if one["pose"] == pose and one["beta"] == 1
                ]
                panel.plot(at, [number] * len(at), "o", ms=4, alpha=0.5, color=COLOURS[2 if pose == "right" else 1])
            panel.set_yticks(range(len(poses)), poses if signal == "mean" else [""] * len(poses))
            panel.invert_yaxis()
            panel.axvline(0, color="#555555", linewidth=1)
            panel.set_title(title)
            panel.set_xlabel("conflict, nats a voxel")


def plot_heads(heads: Results, path: Path) -> None:
    """Dice and NLL without prior, and what the prior changes of them, by the number of label maps; a dot a draw."""
    numbers = [int(n) for n in heads]
    with plot(path, rows=2, columns=2, inches=(7.4, 5.6)) as axes:
        panels = itertools.product((("{} without prior", without), ("Change of {}", change)), ("dice", "nll"))
        for panel, ((what, of), measure) in zip(axes.flat, panels, strict=True):
            for shift, colour, group in zip((0.96, 1.04), COLOURS, UNSEEN, strict=False):
                values = [[of(one, group, measure) for one in draws] for draws in heads.values()]
                for n, some in zip(numbers, values, strict=True):
                    panel.plot([n * shift] * len(some), some, "o", color=colour, ms=3.5, alpha=0.4)
                panel.plot([n * shift for n in numbers], [np.mean(v) for v in values], color=colour, label=group)
            if of is change:
                panel.axhline(0, color="#555555", linewidth=1)
                panel.set_xlabel("label maps fitted on")
            panel.set_xscale("log")
            panel.set_xticks(numbers, [str(n) for n in numbers])
            panel.minorticks_off()
            panel.set_title(f"{what.format(NAMES[measure])}: {'up' if measure == 'dice' else 'down'} is better")
        axes[0, 0].legend(fontsize=8)
