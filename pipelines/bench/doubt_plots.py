"""The plots of the page on doubt."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bench.doubt_cases import CLEAN, KINDS, LEVELS, NO_BRAIN, SHIPPED, Row
from pipelines.bench.doubt_measures import (
    MEASURES,
    Measure,
    at_level,
    labelled,
    of_predictor,
    of_row,
    share_of_limit,
    values,
)
from pipelines.bench.page import COLOURS, plot
from pipelines.metrics import spearman
from pipelines.plots import fewer_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Drawn = Mapping[str, tuple[Measure, str]]
"""Name of a line -> what it shows, its colour."""

BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK, GREY = COLOURS
PREDICTORS = {"softmax": GREY, "softmax, temperature": BLACK, "posterior": RED, SHIPPED: BLUE}
OTHERS = {"density": ("feature_density", GREEN), "conflict": ("prior_conflict", PINK)}
"""Name of the measure -> that of the gate's signal, colour."""
TITLES = {
    "noise": "Noise",
    "motion": "Motion",
    "missing_slices": "Missing slices",
    "contrast_inversion": "Wrong contrast",
}
KIND_COLOURS = dict(zip((CLEAN, *KINDS), (BLACK, SKY, GREEN, ORANGE, RED), strict=True))
ROWS = ("1 \N{MINUS SIGN} mean Dice", "entropy, nats", "mutual information, nats", "of the gate's limit")


def draw_levels(rows: Sequence[Row], limits: Mapping[str, Sequence[float]], path: Path) -> None:
    """Error, entropy, mutual information and the other signals against the level of damage; and without a brain."""
    others: Drawn = {name: (share_of_limit(name, limits[signal]), colour) for name, (signal, colour) in OTHERS.items()}
    entropies: Drawn = {name: (of_predictor(name, "entropy"), colour) for name, colour in PREDICTORS.items()}
    information: Drawn = {"posterior": (of_predictor("posterior", "information"), RED)}
    error: Drawn = {"error": (of_row("error"), BLACK)}
    found: Drawn = {"called brain": (_litres, GREY)}
    with plot(path, columns=5, rows=4, inches=(11.5, 8.4)) as axes:
        for column, kind in enumerate(KINDS):
            axes[0, column].set_title(TITLES[kind])
            for row, drawn in enumerate((error, entropies, information, others)):
                _levels(axes[row, column], rows, kind, drawn)
            axes[3, column].set_xlabel("level")
        nothing = [row for row in rows if row["kind"] == NO_BRAIN]
        axes[0, 4].set_title("No brain")
        for row, drawn in enumerate((found, entropies, information, others)):
            _points(axes[row, 4], nothing, drawn)
        axes[0, 4].set_ylabel("called brain, l")
        for row, title in enumerate(ROWS):
            axes[row, 0].set_ylabel(title)
            _share_y(axes[row, : 5 if row else 4])
        for ax in axes[:3, 4]:
            ax.tick_params(labelbottom=False)
        for ax in axes[3]:
            ax.axhline(1, color="#555555", linestyle=(0, (4, 3)), linewidth=1)
        for row in (1, 3):
            axes[row, 0].legend(loc="upper left", fontsize=7, frameon=True, framealpha=0.8, edgecolor="none")
    fewer_colours(path)


def draw_errors(rows: Sequence[Row], path: Path) -> None:
    """Each measure of doubt against the error, a point a scan."""
    seen = labelled(rows)
    error = values(seen, of_row("error"))
    with plot(path, columns=4, rows=2, inches=(11.5, 6.0)) as axes:
        for ax, (name, measure) in zip(axes.ravel(), MEASURES.items(), strict=True):
            found = values(seen, measure)
            for kind, colour in KIND_COLOURS.items():
                here = np.array([row["kind"] == kind for row in seen])
                ax.scatter(
                    error[here], found[here], 16, colour, label=TITLES.get(kind, "Undamaged"), alpha=0.85, linewidths=0
                )
            ax.set_title(f"{name}\n$\\rho$ = {spearman(found, error):.2f}", fontsize=9)
        for ax in axes[1]:
            ax.set_xlabel(ROWS[0])
        axes[0, 0].legend(fontsize=7, handletextpad=0.2)
    fewer_colours(path)


def _levels(ax: "Axes", rows: Sequence[Row], kind: str, drawn: Drawn) -> None:
    """Means over scans at each level, level 0 the scans as they are, within the band of all scans."""
    levels = (0, *LEVELS)
    for name, (measure, colour) in drawn.items():
        found = [at_level(rows, kind, level, measure) for level in levels]
        ends = np.array([(v.min(), v.max()) for v in found]).T
        ax.fill_between(levels, *ends, color=colour, alpha=0.12, linewidth=0)
        ax.plot(levels, [v.mean() for v in found], color=colour, label=name, marker="o", markersize=3)
    ax.set_xticks(levels)


def _points(ax: "Axes", rows: Sequence[Row], drawn: Drawn) -> None:
    """A point a volume, named below."""
    at = np.arange(len(rows))
    for measure, colour in drawn.values():
        ax.plot(at, values(rows, measure), "o", color=colour, markersize=4.5)
    ax.set_xticks(at, [row["case"].split("_")[0] for row in rows], rotation=60, ha="right", fontsize=7)
    ax.set_xlim(-0.6, len(at) - 0.4)


def _litres(row: Row) -> float:
    return float(row["brain_ml"]) / 1000


def _share_y(axes: "NDArray[Any]") -> None:
    """The same vertical axis for all of a row."""
    highest = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(0, 1.04 * highest)
        ax.tick_params(labelleft=ax is axes[0])
