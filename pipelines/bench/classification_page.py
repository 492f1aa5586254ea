"""The page of `pipelines.bench.classification`: what was measured, and what it can and cannot say."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bench.classification_scans import AS_IT_IS, GROUPS, IXI
from pipelines.bench.page import COLOURS, Results, figure, plot, table
from pipelines.finding_cases import FEW_LESIONS_ML, MANY_LESIONS_ML, NORMAL_VENTRICLES, WIDE_VENTRICLES
from pipelines.metrics import auroc
from triage.findings import FINDINGS, NORMAL

KEYS = tuple(f.key for f in FINDINGS)
SHORT = ("normal", "white-matter lesions", "focal", "atrophy", "not assessable")
BINS = (0.0, 0.25, 0.5, 0.75, 1.0)
PATTERNS, RELIABILITY = "classification-patterns.png", "classification-reliability.png"
Row = Mapping[str, Any]

PAGE = """# What a scan looks most like

The classifier of the bundle {bundle} gives five probabilities a case. It is a multinomial logistic regression of
descriptors (volumes as shares of the intracranial volume, lesion, symmetry, doubt, and the trunk's features averaged
over each tissue) with a Laplace posterior. It was fitted on {cases} synthetic cases from {label_maps} label maps and on
no real scan. **It names a pattern, for research; it is no diagnosis.** All five patterns were equally frequent in
training, so its probabilities are not those of a clinic.

What a synthetic case shows is told from its label map: white-matter lesions from {many:g} mL (normal up to {few:g} mL),
wide ventricles from {wide:.1%} of the intracranial volume (normal up to {usual:.1%}), a focus by what was painted, not
assessable by heavy damage. **Age is not used**: the label maps have none, so "normal" is normal at some age, and a
young head with the ventricles of an old one counts as normal.

## Synthetic cases, by label maps that were held out

Accuracy {accuracy}, negative log-likelihood {nll} nats (chance: {chance}). The prior's precision was chosen on the same
folds, which flatters both figures a little.

{confusion}
{areas}
What each kind of descriptor adds:

{ablation}
![Reliability]({reliability})

## Real scans: nothing here was fitted on

Positives are {positives} people: 15 elderly with white-matter lesions and atrophy, 3 with MS, 2 with a glioma (each
looked at on two contrasts). Normals: {normals} people. None of the tune split is among them.

![Probabilities of every real scan]({patterns})

{groups}
### What could tell the groups apart besides the finding

The elderly and IXI are both at 2 mm with a skull; OASIS is at 1 mm and stripped, as are the gliomas; MS comes in thick
slices. The elderly are 71 to 96 years old, most IXI scans 41 to 82: **age alone tells them apart** (last column), and
neither can be told from what was measured here. AUROC of the summed probability of the finding, with a 95 % interval
(Newcombe 2006, method 5); beside it that of one number alone from the same segmentation.

{comparisons}
{verdict}

### Calibration on real scans

Probability of "{normal}" against how often the scan is of a normal group (interval: Wilson, 95 %). The share of normals
is that of this collection and of no clinic.

{calibration}
`python -m pipelines.bench.classification`
"""


def write(results: Results, folder: Path) -> str:
    """The page and its plots."""
    synthetic, real, fit = results["synthetic"], results["real"], results["fit"]
    plain = [row for row in real if row["copy"] == AS_IT_IS]
    draw_patterns(plain, folder / PATTERNS)
    draw_reliability(synthetic, folder / RELIABILITY)
    normals = [row for row in plain if row["truth"] == [NORMAL.key]]
    ill = {row["case"] for row in plain if row["truth"] and NORMAL.key not in row["truth"]}
    return PAGE.format(
        bundle=results["bundle"],
        cases=fit["cases"],
        label_maps=fit["label_maps"],
        many=MANY_LESIONS_ML,
        few=FEW_LESIONS_ML,
        wide=WIDE_VENTRICLES,
        usual=NORMAL_VENTRICLES,
        accuracy=figure(float(fit["held_out_accuracy"]), 2),
        nll=figure(float(fit["held_out_nll"]), 2),
        chance=figure(float(np.log(len(KEYS))), 2),
        confusion=confusion(synthetic),
        areas=class_areas(synthetic),
        ablation=table(["descriptors", "NLL, nats", "accuracy"], [[k, *v] for k, v in results["ablation"].items()]),
        reliability=RELIABILITY,
        positives=len(ill),
        normals=len(normals),
        patterns=PATTERNS,
        groups=group_table(plain),
        comparisons=comparison_table(results["comparisons"]),
        verdict=verdict(results["comparisons"]),
        normal=NORMAL.name,
        calibration=calibration(plain),
    )


def confusion(rows: Sequence[Row]) -> str:
    """Truth down, most probable across."""
    counts = {key: np.bincount([_argmax(r) for r in rows if r["truth"] == key], minlength=len(KEYS)) for key in KEYS}
    return table(["truth", *SHORT], [[s, *counts[k].tolist()] for s, k in zip(SHORT, KEYS, strict=True)])


def class_areas(rows: Sequence[Row]) -> str:
    """AUROC of each class against the rest."""
    p = np.array([row["p"] for row in rows])
    cells = [auroc(p[:, c], np.array([row["truth"] == key for row in rows])) for c, key in enumerate(KEYS)]
    return table(["against the rest", *SHORT], [["AUROC", *cells]])


def group_table(rows: Sequence[Row]) -> str:
    """Mean probabilities of each group, and how often each finding is the most probable."""
    out = []
    for group in GROUPS:
        found = [row for row in rows if row["group"] == group.name]
        likely = np.bincount([_argmax(r) for r in found], minlength=len(KEYS))
        out.append([group.name, len(found), *likely.tolist(), float(np.mean([r["entropy"] for r in found]))])
    return table(["most probable", "scans", *SHORT, "mean entropy, nats"], out)


def comparison_table(rows: Sequence[Row]) -> str:
    """AUROC with its interval, and of single numbers."""
    header = ["comparison", "n", "classifier", "95 % interval", "ventricles", "lesion", "age"]
    return table(
        header,
        [
            [
                row["name"],
                f"{row['positives']} / {row['negatives']}",
                row["auroc"],
                f"{figure(row['low'], 2)} to {figure(row['high'], 2)}",
                row["ventricles"],
                row["lesion"],
                row["age"],
            ]
            for row in rows
        ],
    )


def verdict(rows: Sequence[Row]) -> str:
    """Whether each AUROC stays above a half once the groups are made alike."""
    below = [row["name"] for row in rows if not (row["low"] or 0) > 0.5]
    if not below:
        return "Every interval stays above one half."
    return "Not told apart (the interval reaches one half): " + "; ".join(below) + "."


def calibration(rows: Sequence[Row]) -> str:
    """Reliability of the probability of normal in a few bins."""
    known = [row for row in rows if row["truth"]]
    p = np.array([row["p"][0] for row in known])
    normal = np.array([row["truth"] == [NORMAL.key] for row in known])
    cells = []
    for low, high in itertools.pairwise(BINS):
        inside = (p >= low) & ((p < high) | (high == 1))
        n, k = int(inside.sum()), int(normal[inside].sum())
        a, b = wilson(k, n)
        mean = float(p[inside].mean()) if n else None
        share = k / n if n else None
        cells.append([f"{low:g} to {high:g}", n, mean, share, f"{figure(a, 2)} to {figure(b, 2)}" if n else None])
    return table(["probability of normal", "scans", "mean probability", "share of normals", "interval"], cells)


def wilson(k: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a proportion. Source: Wilson 1927, J. Am. Stat. Assoc. 22(158)."""
    if not n:
        return 0.0, 1.0
    share, shrunk = k / n, 1 + z * z / n
    middle, half = share + z * z / (2 * n), z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return (middle - half) / shrunk, (middle + half) / shrunk


def draw_patterns(rows: Sequence[Row], path: Path) -> None:
    """Every scan as a column of its five probabilities, group by group, the most normal first."""
    with plot(path, inches=(7.2, 3.2)) as axes:
        left, ticks = 0.0, []
        for group in GROUPS:
            p = np.array(sorted((r["p"] for r in rows if r["group"] == group.name), key=lambda q: -q[0]))
            width = max(1.0, 5 / len(p)) if len(p) < 20 else 0.6
            x = left + width * (np.arange(len(p)) + 0.5)
            bottom: NDArray[np.float64] = np.zeros(len(p))
            for c, name in enumerate(SHORT):
                axes.bar(x, p[:, c], width, bottom, color=COLOURS[c], label=name if group is IXI else None, linewidth=0)
                bottom = bottom + p[:, c]
            ticks.append((float(x.mean()), f"{group.name}\n({len(p)})".replace(", ", ",\n")))
            left = float(x[-1]) + width / 2 + 3
        axes.set_xticks([x for x, _ in ticks], [name for _, name in ticks], fontsize=7)
        axes.set(ylim=(0, 1), ylabel="probability", xlim=(-1, left - 2))
        axes.grid(visible=False)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=5, fontsize=7.5)


def draw_reliability(rows: Sequence[Row], path: Path) -> None:
    """Of the most probable finding of the held-out synthetic cases."""
    top = np.array([max(row["p"]) for row in rows])
    right = np.array([KEYS[_argmax(row)] == row["truth"] for row in rows])
    edges = np.array([0.2, 0.5, 0.7, 0.85, 0.95, 1.0])
    with plot(path, inches=(3.6, 3.2)) as axes:
        axes.plot([0.2, 1], [0.2, 1], color="#555555", linestyle=(0, (4, 3)), linewidth=1)
        for low, high in itertools.pairwise(edges):
            inside = (top >= low) & ((top < high) | (high == 1))
            n, k = int(inside.sum()), int(right[inside].sum())
            if n:
                a, b = wilson(k, n)
                share = k / n
                axes.errorbar(
                    top[inside].mean(), share, [[share - a], [b - share]], fmt="o", color=COLOURS[0], capsize=3
                )
                axes.annotate(f"{n}", (top[inside].mean(), a), ha="center", va="top", fontsize=7)
        axes.set(xlabel="probability of the most probable finding", ylabel="how often it is right", xlim=(0.2, 1.02))
        axes.set_ylim(0, 1.02)


def _argmax(row: Row) -> int:
    return int(np.argmax(row["p"]))
