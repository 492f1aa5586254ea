"""docs/benchmarks/prior.md: the words, the tables and the plots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.bench.doubt_text import wrapped
from pipelines.bench.page import Results, figure, table
from pipelines.bench.prior_few_maps import heads_table, network_gains_table, networks_table
from pipelines.bench.prior_plots import plot_conflict, plot_networks, plot_worth
from pipelines.bench.prior_rows import (
    GROUPS,
    MEASURES,
    NAMES,
    Row,
    gain,
    mean_change,
    of_group,
    structure_changes,
    unseen,
    usual,
    value,
)
from pipelines.bench.prior_text import (
    AUTOMATIC,
    CONDITION,
    CONFLICT,
    FITTED,
    GAINS,
    HEAD,
    HEADS,
    NETWORK_GAINS,
    NETWORKS,
    ONE_BETA,
    REGISTRATION,
    STRUCTURES,
    WORTH,
)
from pipelines.compare import GRADED
from pipelines.metrics import auroc
from triage.anatomy import structure_name


def write(results: Results, folder: Path) -> str:
    """The page, of the parts that were measured; saves prior-worth.png, prior-conflict.png and prior-networks.png."""
    parts = {"": HEAD.format(bundle=results["bundle"])}
    maps = results.get("label_maps", {"rows": []})["rows"]
    if found := results.get("variants"):
        parts["variants"] = FITTED + variants_table(found["variants"]) + AUTOMATIC
    if found := results.get("worth"):
        plot_worth(found, folder / "prior-worth.png")
        parts["worth"] = WORTH + worth_table(found) + GAINS + gains_table(found)
        n = len(unseen(found[""]["rows"]["none"]))
        parts["structures"] = STRUCTURES.format(n=n) + structures_table(found) + "\n**Where it hurts.**\n\n"
        parts["structures"] += where_it_hurts(found) + "\n"
        parts["structures"] += wrapped(ONE_BETA.format(worse=calibration_losses(found)))
    if found := results.get("registered"):
        parts["registered"] = REGISTRATION + registration_table(found["rows"], maps)
    if found := results.get("conflict"):
        plot_conflict(found["rows"], folder / "prior-conflict.png")
        parts["conflict"] = CONFLICT + conflict_table(found["rows"] + maps)
    if found := results.get("networks"):
        plot_networks(found["worth"], folder / "prior-networks.png")
        parts["networks"] = wrapped(NETWORKS.format(**found["options"])) + "\n" + networks_table(found["worth"])
        parts["networks"] += NETWORK_GAINS + network_gains_table(found["worth"])
    if found := results.get("heads"):
        parts["heads"] = wrapped(HEADS.format(bundle=found["bundle"])) + "\n" + heads_table(found["draws"])
    return "\n".join(parts.values())


def variants_table(rows: Sequence[Row]) -> str:
    """Loss on the tune split of each choice, on manual and automatic labels."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    by = {(row["name"], row["manual"]): row for row in rows}
    header = ["", "manual (2): nats a voxel", "beta, gamma", "automatic (4): nats a voxel", "beta, gamma"]
    return table(
        header,
        ([name, *(cell for kind in (True, False) for cell in _loss_and_beta(by[name, kind]))] for name in names),
    )


def worth_table(worth: Results) -> str:
    """Means of every group under every condition, without and with the prior."""
    header = ["scans", "condition", *(f"{NAMES[m]} without, with" for m in MEASURES)]
    rows = []
    for group in GROUPS:
        for condition, found in worth.items():
            without, with_prior = (of_group(found["rows"][s], group) for s in ("none", usual(found)))
            pairs = [f"{_mean(without, m)}, {_mean(with_prior, m)}" for m in MEASURES]
            rows.append([f"{group} ({len(without)})", CONDITION[condition], *pairs])
    return table(header, rows)


def gains_table(worth: Results) -> str:
    """What the prior changes on scans that nothing was fitted on, and the beta that each condition would ask for."""
    header = ["condition", *(f"change of {NAMES[m]}" for m in MEASURES), "beta asked for", "change of NLL with it"]
    rows = []
    for condition, found in worth.items():
        none, held, own = (unseen(found["rows"][s]) for s in ("none", usual(found), "prior"))
        gains = [gain(none, held, m) for m in MEASURES]
        rows.append([CONDITION[condition], *gains, float(found["fits"]["prior"]["beta"]), gain(none, own, "nll")])
    return table(header, rows)


def structures_table(worth: Results) -> str:
    """Dice of every structure under every condition without and with the prior, on scans that nothing was fitted on."""
    header = ["structure", *CONDITION.values()]
    rows = []
    for key, number in GRADED.items():
        cells = []
        for found in worth.values():
            none, held = (unseen(found["rows"][s]) for s in ("none", usual(found)))
            pair = [figure(_of_structure(some, key)) for some in (none, held)]
            cells.append(f"{', '.join(pair)}: {mean_change(structure_changes(none, held, key))}")
        rows.append([structure_name(number), *cells])
    return table(header, rows)


def where_it_hurts(worth: Results) -> str:
    """Structures whose mean Dice falls, by condition."""
    said = []
    for condition, found in worth.items():
        none, held = (unseen(found["rows"][s]) for s in ("none", usual(found)))
        changes = {n: structure_changes(none, held, key) for key, n in GRADED.items()}
        lost = {n: some for n, some in changes.items() if np.mean(some) < 0}
        names = [
            f"{structure_name(n)} ({mean_change(some)}; lower in {sum(x < 0 for x in some)} of {len(some)})"
            for n, some in lost.items()
        ]
        said.append(f"- {CONDITION[condition]}: {', '.join(names) if names else 'nowhere'}")
    return "\n".join(said) + "\n"


def calibration_losses(worth: Results) -> str:
    """Where the prior makes ECE larger, group by group."""
    worse = []
    for condition, found in worth.items():
        for group in GROUPS:
            none, held = (of_group(found["rows"][s], group) for s in ("none", usual(found)))
            before, after = (float(np.mean([value(row, "ece") for row in some])) for some in (none, held))
            if after > before:
                worse.append(f"{group}, {CONDITION[condition]} ({figure(before, 4)} to {figure(after, 4)})")
    return "; ".join(worse) or "nowhere"


def registration_table(scans: Sequence[Row], maps: Sequence[Row]) -> str:
    """Errors of known affines; agreement with the image registration, and who fits which judge better."""
    groups = {"label maps": maps} | {
        name: [row for row in scans if row["case"].startswith(start)]
        for name, start in (("OASIS", "malf"), ("IXI", "ixi"))
    }
    header = [
        "", "known affine, mm: median (worst)", "apart from SimpleITK, mm", "correlation with the T1: pose, SimpleITK",
        "labels under the atlas, nats: pose, SimpleITK",
    ]  # fmt: skip
    rows = []
    for name, some in ((name, some) for name, some in groups.items() if some):
        errors = [row["error_mm"] for row in some]
        cells = [f"{name} ({len(some)})", f"{figure(float(np.median(errors)), 2)} ({figure(max(errors), 2)})"]
        if "apart_mm" in some[0]:
            apart = [row["apart_mm"] for row in some]
            cells.append(f"{figure(float(np.median(apart)), 1)} ({figure(max(apart), 1)})")
            for judge in ("correlation", "labels_nats"):
                cells.append(
                    ", ".join(figure(float(np.mean([r[judge][who] for r in some]))) for who in ("pose", "image"))
                )
        rows.append([*cells, *["-"] * (len(header) - len(cells))])
    return table(header, rows)


def conflict_table(rows: Sequence[Row]) -> str:
    """How well the right pose is told from wrong ones, with either exponent."""
    header = ["exponent", "signal", "right pose: range", "wrong poses: lowest", "gap over the range", "AUROC"]
    out = []
    betas = sorted({one["beta"] for row in rows for one in row["conflict"]})
    for beta in betas:
        for signal, name in (("mean", "mean over the brain"), ("worst_patch", "worst patch")):
            right, wrong = (_conflicts(rows, beta, signal, right=kind) for kind in (True, False))
            gap = (min(wrong) - max(right)) / (max(right) - min(right))
            score, positive = np.array([*wrong, *right]), np.arange(len(wrong) + len(right)) < len(wrong)
            span = f"{figure(min(right))} to {figure(max(right))}"
            out.append([figure(beta, 2), name, span, min(wrong), figure(gap, 1), auroc(score, positive)])
    return table(header, out)


def _mean(rows: Sequence[Row], measure: str) -> str:
    return figure(float(np.mean([value(row, measure) for row in rows])))


def _of_structure(rows: Sequence[Row], key: str) -> float:
    return float(np.mean([row["dice"][key] for row in rows if row["dice"][key] is not None]))


def _loss_and_beta(row: Row) -> list[str]:
    return [figure(row["nll"], 4), f"{figure(row['beta'], 2)}, {figure(row['gamma'], 2)}"]


def _conflicts(rows: Sequence[Row], beta: float, signal: str, *, right: bool) -> list[float]:
    ones = [one for row in rows for one in row["conflict"]]
    return [one[signal] for one in ones if one["beta"] == beta and (one["pose"] == "right") == right]
