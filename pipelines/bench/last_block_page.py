"""The page on the last decoder block: tables, one plot, and what they say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.page import COLOURS, Results, plot
from pipelines.markdown import figure, table

STRUCTURES = {
    "cortical_grey": "cortex",
    "cerebral_white": "white",
    "deep_grey": "deep grey",
    "hippocampus_amygdala": "hippocampus",
    "lateral_ventricles": "ventricles",
    "cerebellar_grey": "cerebellar grey",
    "cerebellar_white": "cerebellar white",
    "brainstem": "brainstem",
}
DAMAGE = {
    "": "as it is",
    "noise": "noise",
    "thick_slices": "thick slices",
    "contrast_inversion": "contrast inverted",
}
PLOT = "last_block.png"
BAR = 0.02
PAGE = """# The last decoder block

The trunk's last block (two 3x3x3 convolutions at 2 mm) and the head are what can be fitted on a CPU in minutes. Two
questions: does the head need all 32 channels, and what do members see that differ in this block?
Dice is the mean over {n_scans} tune scans (two with manual labels, three whole heads with automatic ones), point
predictions without the anatomical prior; sulcal CSF and the third and fourth ventricle are left out.

## Channel gates

Hard-concrete gates (Louizos et al. 2018) fitted with the head on the same cells as every posterior; the channels that
they shut are cut out of the network. Time is that of the trunk in OpenVINO, measured in turns with the whole one.

{gates}
{gates_say}

## Members that differ in the last block

Each member's block and head start from random weights of their own and are fitted on inputs that the shared trunk has
computed once (`pipelines.fit_last_block`); a member costs {extra} of a pass more. "On": from the trained weights.

{members}
{members_say}

## What an ensemble of last blocks sees

Mutual information, mean over the brain, in millinats: what the posterior knows that it does not know. Damage at level
4 of 5 (`pipelines.degrade`).

{shifts}
![mutual information]({plot})

{shifts_say}

`python -m pipelines.bench.last_block`
"""


def write(results: Results, folder: Path) -> str:
    """The page, and its plot in the folder."""
    draw(results["shifts"], folder / PLOT)
    cost = results["cost"]
    return PAGE.format(
        n_scans=len(results["dice"]["network"]),
        gates=gates_table(results["gates"]),
        gates_say=gates_say(results["gates"]),
        extra=figure(1 - cost["before_s"] / cost["whole_s"], 2),
        members=members_table(results["dice"]),
        members_say=members_say(results["dice"]),
        shifts=shifts_table(results["shifts"]),
        plot=PLOT,
        shifts_say=shifts_say(results["shifts"]),
    )


def mean_dice(rows: Sequence[Mapping[str, float]]) -> float:
    """Over the scans and the structures of the page."""
    return float(np.mean([[row[key] for key in STRUCTURES] for row in rows]))


def gates_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One row a penalty."""
    header = ("penalty, nats a channel", "channels", "parameters", "GFLOP", "time, ratio", "Dice")
    cells = [
        (
            f"{row['penalty_nats']:.0f}" if row["penalty_nats"] else "no gates",
            row["channels"],
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['gflop']:.0f}",
            figure(row["seconds"] / rows[0]["seconds"], 2),
            mean_dice([row["dice"]]),
        )
        for row in rows
    ]
    return table(header, cells)


def gates_say(rows: Sequence[Mapping[str, Any]]) -> str:
    """The fewest channels that cost less than .01 of Dice, and what they save."""
    whole = rows[0]
    cheap = [row for row in rows if mean_dice([row["dice"]]) > mean_dice([whole["dice"]]) - 0.01]
    best = min(cheap, key=lambda row: row["channels"])
    return (
        f"{best['channels']} of {whole['channels']} channels lose "
        f"{mean_dice([whole['dice']]) - mean_dice([best['dice']]):.3f} Dice and save "
        f"{1 - best['gflop'] / whole['gflop']:.0%} of the work, {1 - best['seconds'] / whole['seconds']:.0%} of the "
        "time: only the last of 18 convolutions gets thinner. The shipped network keeps them all."
    )


def members_table(dice: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """One row a member, the mean over the scans."""
    header = ("", "mean", *STRUCTURES.values(), "false lesion, ml")
    return table(
        header,
        [
            (
                name.replace("_", " "),
                mean_dice(rows),
                *(float(np.mean([row[key] for row in rows])) for key in STRUCTURES),
                f"{np.mean([row['lesion_ml'] for row in rows]):.2f}",
            )
            for name, rows in dice.items()
        ],
    )


def members_say(dice: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """How far the worst member that started anew is from the network."""
    members = [name for name in dice if name not in ("network", "ensemble") and not name.startswith("on")]
    if not members:
        return "No member was fitted from random weights."
    behind = mean_dice(dice["network"]) - min(mean_dice(dice[name]) for name in members)
    verdict = "close enough to ship" if behind <= BAR else f"more than {figure(BAR, 2)}, so none is shipped"
    return f"The worst member from random weights is {behind:.3f} Dice behind the network: {verdict}."


def shifts_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One row a copy of a scan."""
    header = ("scan", "damage", "white Dice", "head posterior", "ensemble", "entropy, head", "entropy, ensemble")
    keys = ("information_head", "information_ensemble", "entropy_head", "entropy_ensemble")
    return table(
        header,
        [
            (
                row["scan"],
                DAMAGE[row["damage"]],
                row["dice"]["cerebral_white"],
                *(f"{1000 * row[key]:.1f}" for key in keys),
            )
            for row in rows
        ],
    )


def shifts_say(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many times the mutual information rises, on average over scans and kinds of damage, for both posteriors."""
    rises = {key: [] for key in ("information_head", "information_ensemble")}  # type: dict[str, list[float]]
    for row in rows:
        clean = next(r for r in rows if r["scan"] == row["scan"] and not r["damage"])
        for key, found in rises.items():
            if row["damage"]:
                found.append(row[key] / clean[key])
    head, ensemble = (float(np.exp(np.mean(np.log(found)))) for found in rises.values())
    return (
        f"Damage raises the mutual information of the head posterior {head:.1f} times and that of the ensemble "
        f"{ensemble:.1f} times (geometric mean)."
    )


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Mutual information by damage, a panel a scan."""
    scans = list(dict.fromkeys(row["scan"] for row in rows))
    with plot(path, columns=len(scans), inches=(7.5, 3.0)) as axes:
        for panel, scan in zip(np.atleast_1d(axes), scans, strict=True):
            these = [row for row in rows if row["scan"] == scan]
            place = np.arange(len(these))
            for shift, key, name in ((-0.19, "head", "head posterior"), (0.19, "ensemble", "ensemble of last blocks")):
                height = [1000 * row[f"information_{key}"] for row in these]
                panel.bar(place + shift, height, 0.36, label=name, color=COLOURS[shift > 0])
            panel.set_xticks(place, [DAMAGE[row["damage"]].replace(" ", "\n") for row in these])
            panel.set_title(scan.split("_")[0].replace("malf", "OASIS, stripped").replace("ixi", "IXI, whole head"))
            panel.grid(axis="x", visible=False)
        np.atleast_1d(axes)[0].set_ylabel("mutual information, millinats")
        np.atleast_1d(axes)[0].legend(loc="upper left")
