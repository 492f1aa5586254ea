"""The plots of `pipelines.bench.segmentation`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.page import Results, plot
from pipelines.bench.segmentation_bars import NAMES, OASIS_BARS
from pipelines.compare import GRADED

Rows = Sequence[Mapping[str, Any]]


def draw_dice(results: Results, path: Path) -> None:
    """Every scan's Dice of every structure, with the bars."""
    with plot(path, inches=(7.4, 3.6)) as axes:
        for offset, (name, label) in enumerate((("oasis", "OASIS, manual labels"), ("ixi", "IXI, automatic labels"))):
            rows = results[name]
            for place, key in enumerate(GRADED):
                values = [row["dice"][key] for row in rows]
                spread = np.linspace(-0.1, 0.1, len(values))
                axes.plot(
                    place - 0.16 + 0.32 * offset + spread,
                    values,
                    "o",
                    color=f"C{offset}",
                    markersize=3.2,
                    alpha=0.75,
                    label=label if place == 0 else None,
                )
        for place, key in enumerate(GRADED):
            axes.plot([place - 0.36, place + 0.04], [OASIS_BARS[key]] * 2, color="black", linewidth=1.4)
        axes.plot([], [], color="black", linewidth=1.4, label="bar for OASIS")
        axes.set_xticks(
            range(len(GRADED)),
            [NAMES[key].replace(" and ", "\nand ").replace(" ", "\n", 1) for key in GRADED],
            fontsize=7.5,
        )
        axes.set_ylabel("Dice")
        axes.grid(visible=False, axis="x")
        axes.set_title("Agreement with the labels, one dot a scan")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)


def draw_calibration(results: Results, path: Path) -> None:
    """How far frequency lies above or below confidence in the boundary band of each structure."""
    panels = (("oasis", "OASIS, manual labels"), ("ixi", "IXI, automatic labels"))
    with plot(path, columns=2, inches=(8.2, 3.8)) as both:
        for axes, (name, label) in zip(both, panels, strict=True):
            axes.axhline(0, color="#555555", linewidth=0.9)
            for key, found in results["calibration"][name].items():
                confidence, frequency = np.array(found["diagram"], float).T
                axes.plot(confidence, frequency - confidence, label=NAMES[key])
            axes.set_title(label)
            axes.set_xlabel("probability of the structure")
            axes.set_ylim(-0.6, 0.6)
        both[0].set_ylabel("how often it was there, less its probability")
        handles, names = both[0].get_legend_handles_labels()
        both[0].figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=7.5)


def draw_scores(cases: Mapping[str, Rows], path: Path) -> None:
    """The gate's score against mean Dice, many subjects beside many copies; darker is more damage."""
    with plot(path, columns=2, inches=(7.8, 3.5)) as both:
        for axes, name in zip(both, ("subjects", "ladder"), strict=True):
            rows = [row for row in cases[name] if row["scores"]["gate"] is not None]
            n = len({row["case"] for row in rows})
            axes.axhline(1, color="#555555", linewidth=0.9, linestyle="--")
            dots = axes.scatter(
                [row["dice"] for row in rows],
                [row["scores"]["gate"] for row in rows],
                c=[row["level"] for row in rows],
                cmap="viridis_r",
                vmin=0,
                vmax=5,
                s=18,
                edgecolors="#333333",
                linewidths=0.3,
            )
            axes.set_yscale("symlog", linthresh=1)
            axes.set_yticks([0, 0.5, 1, 3, 10], ["0", "0.5", "1", "3", "10"], minor=False)
            axes.set_xlabel("mean Dice")
            axes.set_title(f"{len(rows)} cases of {n} subjects")
        both[0].set_ylabel("the gate's score; above 1 a human looks")
        both[0].figure.colorbar(dots, ax=both, label="level of damage", shrink=0.85)
