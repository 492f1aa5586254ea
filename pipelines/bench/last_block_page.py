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
SCAN = {"malf_1000": "OASIS, stripped", "ixi_IXI067-HH-1356": "IXI, whole head"}
PLOT = "last_block.png"
BAR = 0.02
PAGE = """# The last decoder block

The trunk's last block (two 3x3x3 convolutions at 2 mm) and the head are what can be fitted on a CPU in minutes. Two
questions: does the head need all 32 channels, and what do members see that differ in this block?
Model: {bundle}.
Dice is the mean over {n_scans} tune scans (two stripped with manual labels, one whole head with automatic ones),
point predictions of every second 2 mm cell, without the anatomical prior; sulcal CSF and the third and fourth
ventricle are left out.

## Channel gates

Hard-concrete gates (Louizos et al. 2018) fitted with the head on the same cells as every posterior; the channels that
they shut are cut out of the network. Time is what the CPU spent on the trunk in OpenVINO, a median of rounds in turns
with the whole one.

{gates}
{gates_say}

## Members that differ in the last block

Each member's block and head are fitted on inputs that the shared trunk has computed once, 24 synthetic images with
lesions (`pipelines.fit_last_block`): "on" from the trained weights, in other orders and at a high learning rate;
"anew" from random weights. The ensemble is the network and the members fitted on; each adds {extra} of a pass.

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
    work = results["work"]
    return PAGE.format(
        bundle=results["bundle"],
        n_scans=len(results["dice"]["network"]),
        gates=gates_table(results["gates"]),
        gates_say=gates_say(results["gates"]),
        extra=figure(1 - work["before_last_block"] / work["network"], 2),
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
    header = ("penalty, nats a channel", "channels", "parameters", "work, ratio", "CPU time, ratio", "Dice")
    cells = [
        (
            f"{row['penalty_nats']:.0f}" if row["penalty_nats"] else "no gates",
            row["channels"],
            f"{row['parameters'] / 1e6:.2f} M",
            figure(row["flops"] / rows[0]["flops"]),
            figure(row["seconds"] / rows[0]["seconds"]),
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
        f"{1 - best['flops'] / whole['flops']:.0%} of the work and {1 - best['seconds'] / whole['seconds']:.0%} of the "
        "CPU time: only the last of 18 convolutions gets thinner. The shipped network keeps them all."
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
    """How far the worst member of each kind is from the network, and the ensemble with it."""
    whole, said = mean_dice(dice["network"]), []
    for kind in ("on", "anew"):
        members = [mean_dice(rows) for name, rows in dice.items() if name.startswith(kind)]
        if members:
            behind = whole - min(members)
            verdict = "within" if behind <= BAR else "outside"
            said.append(
                f"The worst member fitted {kind} is {behind:.3f} Dice behind the network, {verdict} the "
                f"{figure(BAR, 2)} that a member may lose to be shipped."
            )
    return " ".join((*said, f"The ensemble is at {mean_dice(dice['ensemble']) - whole:+.3f}."))


def shifts_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One row a copy of a scan."""
    names = list(rows[0]["doubt"])
    header = ("scan", "damage", "Dice, head posterior", *names, *(f"entropy, {name}" for name in names))
    return table(
        header,
        [
            (
                SCAN[row["scan"]],
                DAMAGE[row["damage"]],
                mean_dice([row["dice"][names[0]]]),
                *(f"{1000 * row['doubt'][name][key]:.1f}" for key in ("information", "entropy") for name in names),
            )
            for row in rows
        ],
    )


def shifts_say(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many times the mutual information rises under each kind of damage, over the scans."""
    said = []
    for damage in (name for name in DAMAGE if name):
        rises = ", ".join(f"{name} {rise(rows, damage, name):.1f}" for name in rows[0]["doubt"])
        said.append(f"{DAMAGE[damage]}: {rises}")
    return "Mutual information over that of the scan as it is, geometric mean of the scans: " + "; ".join(said) + "."


def rise(rows: Sequence[Mapping[str, Any]], damage: str, name: str) -> float:
    """Mutual information of the damaged copies over that of the scans as they are, geometric mean."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["scan"], {})[row["damage"]] = row["doubt"][name]["information"]
    return float(np.exp(np.mean([np.log(each[damage] / each[""]) for each in found.values()])))


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Mutual information by damage, a panel a scan."""
    names, scans = list(rows[0]["doubt"]), list(dict.fromkeys(row["scan"] for row in rows))
    with plot(path, columns=len(scans), inches=(7.5, 3.0)) as drawn:
        axes = np.atleast_1d(drawn)
        for panel, scan in zip(axes, scans, strict=True):
            these = [row for row in rows if row["scan"] == scan]
            place, width = np.arange(len(these)), 0.8 / len(names)
            for number, name in enumerate(names):
                height = [1000 * row["doubt"][name]["information"] for row in these]
                shift = (number - (len(names) - 1) / 2) * width
                panel.bar(place + shift, height, 0.92 * width, label=name, color=COLOURS[number])
            panel.set_xticks(place, [DAMAGE[row["damage"]].replace(" ", "\n", 1) for row in these])
            panel.set_title(SCAN[scan])
            panel.grid(axis="x", visible=False)
            panel.set_ylim(0, 1.05 * max(1000 * row["doubt"][name]["information"] for row in rows for name in names))
        axes[0].set_ylabel("mutual information, millinats")
        axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
