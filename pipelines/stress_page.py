"""A stress ladder on paper: a table, a figure, and whether doubt and flags only ever rise."""

import csv
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.degrade import SAME_AT_EVERY_LEVEL
from pipelines.markdown import table
from pipelines.metrics import known_mean
from pipelines.plots import COLOURS, fewer_colours, plot
from pipelines.stress import CLEAN, Rung
from triage import NOT_FOR_CLINICAL_USE
from triage.gate.signals import SIGNALS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SLACK = 0.05
"""Of the limit: doubt that falls by less has not fallen."""
COLUMNS = 4
FIGURE, ROWS, PAGE = "stress.png", "stress.csv", "stress.md"
SELF = "Dice with the undamaged result: self-agreement, not accuracy"
TRUE = "Dice with the labels"


def write_ladder(rungs: Sequence[Rung], folder: Path, *, labelled: bool) -> Path:
    """The page, its figure, and every number as CSV; gives the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    measure = TRUE if labelled else SELF
    draw(rungs, folder / FIGURE, measure)
    _write_rows(rungs, folder / ROWS)
    page = folder / PAGE
    text = (
        f"# Stress ladder\n\n{NOT_FOR_CLINICAL_USE}\n\n"
        f"{len({r.case for r in rungs})} scan(s). Doubt is the gate's score over its limit: above 1 a human looks. "
        f"In brackets: flagged or refused, of all.\n\n{doubt_table(rungs)}\n{measure}, mean over scans:\n\n"
        f"{dice_table(rungs)}\n![Doubt and Dice by level]({FIGURE})\n"
    )
    page.write_text(text)
    return page


def doubt_table(rungs: Sequence[Rung]) -> str:
    """Doubt and how many were flagged by kind and level, means over scans; whether either ever falls."""

    def cell(found: Sequence[Rung]) -> str:
        if not found:
            return "-"
        return f"{known_mean(map(doubt, found)):.2f} ({sum(not r.accepted for r in found)}/{len(found)})"

    graded = graded_kinds(rungs)
    rows = [
        [
            named(kind),
            *_cells(rungs, kind, cell),
            _yes(never_falls(rungs, kind)) if kind in graded else "-",
            _yes(stays_flagged(rungs, kind)) if kind in graded else "-",
        ]
        for kind in kinds_of(rungs)
    ]
    return table(["damage", *_levels(rungs), "doubt never falls", "once flagged, always"], rows)


def dice_table(rungs: Sequence[Rung]) -> str:
    """Mean Dice by kind and level."""
    rows = [
        [named(kind), *_cells(rungs, kind, lambda found: known_mean(r.mean_dice for r in found))]
        for kind in kinds_of(rungs)
    ]
    return table(["damage", *_levels(rungs)], rows)


def doubt(rung: Rung) -> float:
    """The score over its limit; NaN where there is no score, such as of a refused image."""
    return rung.score / rung.limit


def never_falls(rungs: Sequence[Rung], kind: str) -> bool:
    """Whether on no scan a worse level has less doubt than a milder one, but for SLACK; a refused one has the most."""
    return all(_rises([math.inf if math.isnan(doubt(r)) else doubt(r) for r in one]) for one in ladders(rungs, kind))


def stays_flagged(rungs: Sequence[Rung], kind: str) -> bool:
    """Whether on no scan a worse level is accepted where a milder one was not."""
    return all(_rises([float(not r.accepted) for r in one]) for one in ladders(rungs, kind))


def ladders(rungs: Sequence[Rung], kind: str) -> list[list[Rung]]:
    """For each scan: as it is, then this kind by level."""
    cases = dict.fromkeys(r.case for r in rungs)
    ours = [[r for r in rungs if r.case == case and r.kind in {CLEAN, kind}] for case in cases]
    return [sorted(one, key=lambda r: r.level) for one in ours]


def kinds_of(rungs: Sequence[Rung]) -> list[str]:
    """Kinds of damage in the order of the ladder."""
    return list(dict.fromkeys(r.kind for r in rungs if r.kind != CLEAN))


def graded_kinds(rungs: Sequence[Rung]) -> list[str]:
    """Those that get worse with the level."""
    return [kind for kind in kinds_of(rungs) if kind not in SAME_AT_EVERY_LEVEL]


def named(kind: str) -> str:
    """A kind for a reader."""
    return kind.replace("_", " ").replace("left right", "left-right")


def draw(rungs: Sequence[Rung], path: Path, measure: str) -> None:
    """For each kind doubt above and Dice below, a line a scan; a filled point is flagged or refused."""
    kinds = kinds_of(rungs)
    bands = math.ceil(len(kinds) / COLUMNS)
    levels = sorted({r.level for r in rungs})
    highest = max((doubt(r) for r in rungs if math.isfinite(doubt(r))), default=1.0)
    with plot(path, columns=COLUMNS, rows=2 * bands, inches=(9.6, 2.9 * bands)) as axes:
        for n in range(COLUMNS * bands):
            band, column = divmod(n, COLUMNS)
            above, below = np.reshape(axes, (2 * bands, COLUMNS))[2 * band : 2 * band + 2, column]
            if n >= len(kinds):
                above.set_axis_off()
                below.set_axis_off()
                continue
            above.set_title(named(kinds[n]), fontsize=9)
            above.axhline(1, color="#555555", linestyle=(0, (4, 3)), linewidth=1)
            above.set_yscale("function", functions=(_root, np.square))
            above.set_ylim(0, max(1.5, 1.1 * highest))
            above.set_yticks([t for t in (0, 1, 4, 10, 20, 40, 80) if t <= max(1.5, 1.1 * highest)])
            below.set_ylim(0, 1)
            for ax in (above, below):
                ax.set_xlim(-0.2, max(levels) + 0.2)
                ax.set_xticks(levels)
                ax.tick_params(labelleft=column == 0, labelbottom=ax is below)
            for colour, one in zip(COLOURS, ladders(rungs, kinds[n]), strict=False):
                _line(above, one, doubt, colour)
                _line(below, one, lambda r: r.mean_dice, colour)
            if column == 0:
                above.set_ylabel("score / limit", fontsize=8)
                below.set_ylabel("Dice", fontsize=8)
        if COLUMNS * bands > len(kinds):
            lines = np.ravel(axes)[0].get_legend_handles_labels()
            np.ravel(axes)[-1].legend(*lines, loc="upper left", fontsize=8)
        figure = np.ravel(axes)[0].figure
        figure.supxlabel(f"level of damage; filled: flagged. Below: {measure}", fontsize=8)
    fewer_colours(path)


def _line(ax: "Axes", one: Sequence[Rung], value: Callable[[Rung], float], colour: str) -> None:
    """A scan by level; what has only one level is a line to a point."""
    x, y = [r.level for r in one], [value(r) for r in one]
    ax.plot(x, y, color=colour, linewidth=1.2, label=one[0].case)
    for flagged in (False, True):
        at = [n for n, r in enumerate(one) if r.accepted is not flagged]
        face = colour if flagged else "white"
        ax.plot([x[n] for n in at], [y[n] for n in at], "o", color=colour, markerfacecolor=face, markersize=4)


def _root(values: Any) -> Any:
    return np.sqrt(np.maximum(values, 0))


def _write_rows(rungs: Sequence[Rung], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["case", "kind", "level", "route", "score", "limit", "reasons", "action", "mean_dice", *SIGNALS]
        )
        for r in rungs:
            numbers = [r.score, r.limit, r.mean_dice, *(r.signals.get(name, math.nan) for name in SIGNALS)]
            score, limit, *rest = (f"{n:.6g}" if math.isfinite(n) else "" for n in numbers)
            writer.writerow([r.case, r.kind, r.level, r.route, score, limit, "; ".join(r.reasons), r.action, *rest])


def _cells(rungs: Sequence[Rung], kind: str, cell: Callable[[Sequence[Rung]], object]) -> list[object]:
    """One a level; a kind that is the same at every level shows its one level."""
    levels = sorted({r.level for r in rungs})
    return [cell([r for r in rungs if r.level == level and r.kind == (kind if level else CLEAN)]) for level in levels]


def _levels(rungs: Sequence[Rung]) -> list[str]:
    return [f"level {level}" if level else CLEAN for level in sorted({r.level for r in rungs})]


def _rises(values: Sequence[float]) -> bool:
    return all(b >= a - SLACK for a, b in itertools.pairwise(values))


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"
