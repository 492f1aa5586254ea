"""The plots of docs/benchmarks/prior.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.bench.page import COLOURS, Results, plot
from pipelines.bench.prior_rows import GROUPS, NAMES, UNSEEN, Row, both, changes, of_group, usual, value
from pipelines.bench.prior_text import CONDITION
from pipelines.metrics import subject_interval


def plot_worth(worth: Results, path: Path) -> None:
    with plot(path, columns=2, inches=(7.4, 3.2)) as axes:
        for panel, measure in zip(axes, ("dice", "nll"), strict=True):
            for number, found in enumerate(worth.values()):
                for colour, group in zip(COLOURS, GROUPS, strict=False):
                    none, held = (of_group(found["rows"][s], group) for s in ("none", usual(found)))
                    moved = [value(b, measure) - value(a, measure) for a, b in zip(none, held, strict=True)]
                    place = number + 0.18 * (list(GROUPS).index(group) - 1)
                    panel.plot([place] * len(moved), moved, "o", color=colour, ms=5, alpha=0.85,
                               label=group if not number else None)  # fmt: skip
            panel.axhline(0, color="#555555", linewidth=1)
            panel.set_xticks(range(len(worth)), [CONDITION[c].replace(", ", ",\n") for c in worth], fontsize=8)
            panel.set_title(f"Change of {NAMES[measure]}: {_better(measure)}")
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


def plot_networks(networks: Results, path: Path) -> None:
    """Dice and NLL of clean scans without and with the prior, and its changes, by the number of label maps."""
    numbers = [int(n) for n in networks]
    with plot(path, rows=2, columns=2, inches=(7.4, 5.8)) as axes:
        for column, measure in enumerate(("dice", "nll")):
            for colour, group in zip(COLOURS, UNSEEN, strict=False):
                pairs = np.array([both(one[""], group, measure) for one in networks.values()])
                for values, style, name in zip(pairs.T, ("o--", "o-"), ("without", "with"), strict=True):
                    axes[0, column].plot(numbers, values, style, ms=4, color=colour, label=f"{group}, {name}")
            axes[0, column].set_title(f"{NAMES[measure]}, clean: {_better(measure)}")
            for shift, colour, condition in zip((0.94, 1, 1.06), COLOURS[2:], CONDITION, strict=False):
                some = [changes(one[condition], measure) for one in networks.values()]
                means = np.mean(some, axis=1)
                ends = np.array([subject_interval(each, lambda x: float(np.mean(x))) for each in some]).T
                axes[1, column].errorbar([n * shift for n in numbers], means, np.abs(ends - means), fmt="o-", ms=4,
                                         capsize=2, color=colour, label=CONDITION[condition])  # fmt: skip
            axes[1, column].axhline(0, color="#555555", linewidth=1)
            axes[1, column].set_title(f"Change of {NAMES[measure]} by the prior: {_better(measure)}")
            axes[1, column].set_xlabel("label maps trained on")
        for panel in axes.flat:
            panel.set_xscale("log")
            panel.set_xticks(numbers, [str(n) for n in numbers])
            panel.minorticks_off()
        axes[0, 0].legend(fontsize=8)
        axes[1, 0].legend(fontsize=8)


def _better(measure: str) -> str:
    return f"{'up' if measure == 'dice' else 'down'} is better"
