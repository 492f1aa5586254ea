"""The plots of docs/benchmarks/prior.md."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.bench.page import COLOURS, Results, plot
from pipelines.bench.prior_rows import (
    ATLAS_ALONE,
    GROUPS,
    LABELS_POSE,
    NAMES,
    UNSEEN,
    Row,
    change,
    mean_of,
    of_group,
    usual,
    value,
)
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
    """Dice of clean scans, and what the prior changes under every condition, by the number of label maps."""
    numbers = [int(n) for n in networks]
    settings = {
        "none": "without prior",
        usual(networks["1"][""]): "with it",
        LABELS_POSE: "with it at the labels' pose",
    }
    with plot(path, rows=2, columns=2, inches=(7.6, 6.4)) as axes:
        for panel, group in zip(axes[0], UNSEEN, strict=True):
            for (setting, name), colour in zip(settings.items(), COLOURS, strict=False):
                dice = [mean_of(worth[""], setting, group, "dice") for worth in networks.values()]
                panel.plot(numbers, dice, "o-", ms=4, color=colour, label=name)
            alone = mean_of(networks["1"][""], ATLAS_ALONE, group, "dice")
            panel.axhline(alone, color="#555555", linestyle=(0, (4, 3)), linewidth=1, label="the atlas alone, there")
            panel.set_title(f"Dice, {group}, clean: up is better")
            panel.set_ylim(0, 1)
        for panel, measure in zip(axes[1], ("dice", "nll"), strict=True):
            for colour, (condition, name) in zip(COLOURS[3:], CONDITION.items(), strict=False):
                for group, style in zip(UNSEEN, ("o-", "s--"), strict=True):
                    changes = [change(worth[condition], group, measure) for worth in networks.values()]
                    panel.plot(numbers, changes, style, ms=4, color=colour, label=f"{group}, {name.split(',')[0]}")
            panel.axhline(0, color="#555555", linewidth=1)
            panel.set_title(f"Change of {NAMES[measure]}: {_better(measure)}")
            panel.set_xlabel("label maps trained on")
        for panel in axes.flat:
            panel.set_xscale("log")
            panel.set_xticks(numbers, [str(n) for n in numbers])
            panel.minorticks_off()
        axes[0, 0].legend(fontsize=8, loc="lower left")
        handles, names = axes[1, 0].get_legend_handles_labels()
        axes[0, 0].figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)


def _better(measure: str) -> str:
    return f"{'up' if measure == 'dice' else 'down'} is better"
