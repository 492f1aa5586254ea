"""The page of docs/benchmarks on corrections: what they teach, and which to ask for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bench.page import Results, plot, table

BUDGETS = (1, 2, 4, 8)
BASELINE = "foreground-aware random"
OURS = "brain-triage next"
GAIN = 0.5
"""Labels are counted until this share of the gain of all corrections together: what the largest budget reaches."""
RESAMPLES = 2000
PLOT = "active.png"


def write(results: Results, folder: Path) -> str:
    """Saves the plot, gives the text."""
    curves = {name: np.array(rows) for name, rows in results["strategies"].items()}
    target = results["live"] + GAIN * (results["all"] - results["live"])
    live = results["live"]
    needed = {name: np.array([labels_needed(row, live, target) for row in rows]) for name, rows in curves.items()}
    _draw(curves, results, target, folder / PLOT)
    told = [
        "# Learning from corrections",
        "Made by `python -m pipelines.bench.active`. The reviewers are simulated: they draw what the label of a scan "
        "says where it says healthy brain, and leave the rest to the model. Heads are refitted as by `brain-triage "
        "retrain`. Corrections are of the tune split, Dice is on the test split: the mean of the nine healthy "
        "structures of the brain, on every third cell along each axis, without the anatomical prior.",
        "## What twenty corrections change",
        _twenty(results),
        "Weight is how many synthetic images a correction counts as; 0 is the live model. The labels of IXI were made "
        "by another network at 2 mm, so a good part of what is learnt there is how that network draws borders; the "
        "manual labels of the other site tell whether anything is lost.",
        "## Which cases to ask for",
        f"{results['pool']} candidates of 11 subjects: nine IXI scans as they are, after motion and with thick slices, "
        f"and two OASIS scans; {results['tests']['same']} IXI scans of other subjects to test on. The live model has "
        f"{live:.4f}, all corrections together give {results['all']:.4f}; labels are counted until {GAIN:.0%} of that "
        "gain, which the largest budget reaches. Five seeds; intervals are 95 %, over seeds drawn again.",
        _strategies(curves, needed, target),
        _verdict(needed),
        f"![Dice on the test scans by the number of corrections, for each way of choosing them]({PLOT})",
    ]
    return "\n\n".join(told)


def labels_needed(dice: Sequence[float], live: float, target: float) -> float:
    """Corrections until the target, by lines between the budgets; more than the last budget counts as twice it."""
    seen = [live, *dice]
    for k in range(1, len(seen)):
        if seen[k] >= target:
            low, high = (0, *BUDGETS)[k - 1], BUDGETS[k - 1]
            return low + (high - low) * (target - seen[k - 1]) / (seen[k] - seen[k - 1])
    return 2.0 * BUDGETS[-1]


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % of the mean, over values drawn again. Source: Efron 1979, Ann. Statist. 7(1)."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _twenty(results: Results) -> str:
    rows: list[list[Any]] = [
        [
            f"{row['weight']:g}",
            *(f"{row[name]:.3f} ({row[f'{name}.worst']:+.3f})" for name in ("corrected", "same", "other")),
        ]
        for row in results["twenty"]
    ]
    n = results["tests"]
    return table(
        ["weight", "the 20 themselves (worst change)", f"{n['same']} other IXI scans", f"{n['other']} OASIS scans"],
        rows,
    )


def _strategies(curves: dict[str, NDArray[np.float64]], needed: dict[str, NDArray[np.float64]], target: float) -> str:
    rows: list[list[Any]] = []
    for name, found in curves.items():
        low, high = interval(needed[name])
        until = f"{needed[name].mean():.1f} ({low:.1f} to {high:.1f})"
        rows.append([name, *(f"{value:.4f}" for value in found.mean(axis=0)), until])
    return table(["chosen by", *(f"Dice after {n}" for n in BUDGETS), f"labels until {target:.4f}"], rows)


def _verdict(needed: dict[str, NDArray[np.float64]]) -> str:
    saved = needed[BASELINE] - needed[OURS]
    low, high = interval(saved)
    mean, before = round(float(saved.mean()), 1) + 0.0, needed[BASELINE].mean()
    told = f"Against {BASELINE}, `{OURS}` saves {mean:.1f} labels of {before:.1f} ({low:.1f} to {high:.1f})"
    if low > 0:
        return f"{told}: it beats it."
    return f"{told}: it does {'worse' if high < 0 else 'not beat it'}."


def _draw(curves: dict[str, NDArray[np.float64]], results: Results, target: float, path: Path) -> None:
    with plot(path, inches=(6.4, 3.6)) as axes:
        for name, found in curves.items():
            mean = [results["live"], *found.mean(axis=0)]
            low, high = np.array([interval(column) for column in found.T]).T
            (line,) = axes.plot((0, *BUDGETS), mean, marker="o", markersize=3.5, label=name)
            axes.fill_between(BUDGETS, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
        axes.axhline(target, color="#555555", linestyle=(0, (4, 3)), linewidth=1)
        axes.set_xlabel("corrected cases")
        axes.set_ylabel("mean Dice on test scans")
        axes.set_title("What each way of choosing gives")
        axes.legend(loc="lower right")
