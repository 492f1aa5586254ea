"""The tables of networks, and of heads, of few and of many label maps."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from pipelines.bench.page import Results, figure, table
from pipelines.bench.prior_rows import (
    ATLAS_ALONE,
    LABELS_POSE,
    MEASURES,
    NAMES,
    UNSEEN,
    change,
    gain,
    mean_of,
    of_group,
    usual,
    without,
)
from pipelines.bench.prior_text import CONDITION


def networks_table(networks: Results) -> str:
    """Dice of each network under each condition: without prior, with it, and with it at the pose of the labels.

    Last, the atlas alone at the pose of the labels.
    """
    header = ["label maps", "scans", "pose off, mm: clean", *(f"Dice, {name}" for name in CONDITION.values())]
    rows = []
    for n, worth in networks.items():
        for group in UNSEEN:
            clean = of_group(worth[""]["rows"]["none"], group)
            off = float(np.median([worth[""]["pose_mm"][row["case"]] for row in clean]))
            dice = [_means(found, group, "dice", "none", usual(found), LABELS_POSE) for found in worth.values()]
            rows.append([n, f"{group} ({len(clean)})", figure(off, 1), *dice])
    for group in UNSEEN:
        dice = [_means(found, group, "dice", ATLAS_ALONE) for found in worth.values()]
        rows.append(["the atlas alone", group, "-", *dice])
    return table(header, rows)


def network_gains_table(networks: Results) -> str:
    """What the prior changes of each network under each condition, at either pose."""
    header = ["label maps", "scans", "condition", "change of Dice", "change of NLL"]
    header += [f"{NAMES[m]} without, with" for m in ("nll", "brier", "ece")]
    header += ["beta", "change of Dice at the labels' pose", "change of NLL there"]
    rows = []
    for (n, worth), group in itertools.product(networks.items(), UNSEEN):
        for condition, found in worth.items():
            none, own, at_labels = (of_group(found["rows"][s], group) for s in ("none", usual(found), LABELS_POSE))
            here, there = ([gain(none, some, m) for m in ("dice", "nll")] for some in (own, at_labels))
            pairs = [_means(found, group, m, "none", usual(found)) for m in ("nll", "brier", "ece")]
            beta = figure(float(worth[""]["fits"]["prior"]["beta"]), 2)
            rows.append([n, group, CONDITION[condition], *here, *pairs, beta, *there])
    return table(header, rows)


def heads_table(heads: Results) -> str:
    """Of the scans that nothing was fitted on, by the number of label maps."""
    header = ["label maps", "draws", "scans", *(f"{NAMES[m]} without" for m in ("dice", "nll"))]
    header += [f"change of {NAMES[m]} by the prior" for m in MEASURES] + ["beta"]
    rows = []
    for n, draws in heads.items():
        for group in UNSEEN:
            cells = [_over_draws(draws, lambda one, g=group, m=m: without(one, g, m)) for m in ("dice", "nll")]  # type: ignore[misc]
            cells += [_over_draws(draws, lambda one, g=group, m=m: change(one, g, m), sign="+") for m in MEASURES]  # type: ignore[misc]
            beta = _over_draws(draws, lambda one: float(one["fits"]["prior"]["beta"]), places=2)
            rows.append([n, len(draws), group, *cells, beta])
    return table(header, rows)


def _means(found: Results, group: str, measure: str, *settings: str) -> str:
    return ", ".join(figure(mean_of(found, setting, group, measure)) for setting in settings)


def _over_draws(draws: Sequence[Results], of: Callable[[Results], float], *, sign: str = "", places: int = 3) -> str:
    values = [of(one) for one in draws]
    mean, *ends = (f"{x:{sign}.{places}f}" for x in (float(np.mean(values)), min(values), max(values)))
    return f"{mean} ({ends[0]} to {ends[1]})" if len(values) > 1 else mean
