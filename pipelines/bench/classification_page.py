"""The page of `pipelines.bench.classification`: what was measured, and what it can and cannot say."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bench.classification_scans import AS_IT_IS, GLIOMA_FLAIR, GROUPS, IXI
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

Bundle {bundle}. The classifier gives five probabilities a case: a multinomial logistic
regression with a Laplace posterior, on volumes as shares of the intracranial volume, lesion, symmetry, doubt, and the
trunk's features averaged over each tissue. It was fitted on {cases} synthetic cases from {label_maps} label maps and on
no real scan. **It names a pattern, for research; it is no diagnosis.** All five patterns were equally frequent in
training, so its probabilities are not those of a clinic. The posterior counts every case as independent, though {each}
of them come from each label map: its doubt is too small where cases of one label map are alike. The folds below are of
label maps, so what they say is not flattered by that.

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

{counts}. None of the tune split is among them. Each glioma is
looked at on two contrasts.

![Probabilities of every real scan]({patterns})

{groups}
### What could tell the groups apart besides the finding

The elderly and IXI are both at 2 mm with a skull; OASIS is at 1 mm and stripped, as are the gliomas, which are seen
after contrast; MS comes in thick slices. **The elderly are older**: age alone tells most of them from IXI (last
column), so part of what is told apart may be age. Each group is therefore compared again on equal terms: the same
voxel, the same slices, skull stripped, or from 60 years of age on.

AUROC of the summed probability of the finding, with a 95 % interval (Newcombe 2006, method 5) where every scan is of a
person of its own; the damaged scans are copies of a few people, so they have none. Beside it that of one number alone
from the same segmentation. n: positive / negative scans.

{comparisons}
{verdict}

### Calibration on real scans

Probability of "{normal}" against how often the scan is of a normal group (interval:
Wilson, 95 %). The share of normals is that of this collection and of no clinic.

{calibration}
`python -m pipelines.bench.classification`
"""


def write(results: Results, folder: Path) -> str:
    """The page and its plots."""
    synthetic, real, fit = results["synthetic"], results["real"], results["fit"]
    plain = [row for row in real if row["copy"] == AS_IT_IS]
    draw_patterns(plain, folder / PATTERNS)
    draw_reliability(synthetic, folder / RELIABILITY)
    return PAGE.format(
        bundle=results["bundle"],
        cases=fit["cases"],
        label_maps=fit["label_maps"],
        each=round(fit["cases"] / fit["label_maps"]),
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
        counts=counts(plain),
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
                None if row["low"] is None else f"{figure(row['low'], 2)} to {figure(row['high'], 2)}",
                row["ventricles"],
                row["lesion"],
                row["age"],
            ]
            for row in rows
        ],
    )


def verdict(rows: Sequence[Row]) -> str:
    """What the comparisons carry, and what they do not."""
    known = [row for row in rows if row["low"] is not None]
    told = [row for row in known if row["low"] > 0.5]
    no_better = [row for row in told if row["lesion"] is not None and row["lesion"] >= row["auroc"]]
    lines = [f"{len(told)} of {len(known)} intervals stay above one half."]
    if len(told) < len(known):
        others = "; ".join(row["name"] for row in known if row not in told)
        lines.append(f"Not told apart, or the wrong way round: {others}.")
    lines += [
        f"In {len(no_better)} of these {len(told)} the segmented volume of lesion alone does as well or better:",
        "whether something is wrong is told by the segmentation; the classifier adds what it looks like.",
        "With so few people ill an AUROC of 1 is no proof: the lower end of the interval is what may be quoted.",
    ]
    return "\n".join(lines)


def counts(rows: Sequence[Row]) -> str:
    """How many people are in each group whose finding is known."""
    known = [g for g in GROUPS if g.truth and g is not GLIOMA_FLAIR]
    sizes = {g.name.partition(",")[0]: len({row["case"] for row in rows if row["group"] == g.name}) for g in known}
    return "People: " + ", ".join(f"{n} {name}" for name, n in sizes.items())


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
    # At k = 0 and k = n the ends are 0 and 1, which rounding may miss.
    return (middle - half) / shrunk if k else 0.0, (middle + half) / shrunk if k < n else 1.0


def draw_patterns(rows: Sequence[Row], path: Path) -> None:
    """Every scan as a column of its five probabilities, group by group, the most normal first."""
    with plot(path, inches=(7.2, 3.2)) as axes:
        left, ticks = 0.0, []
        for group in GROUPS:
            p = np.array(sorted((r["p"] for r in rows if r["group"] == group.name), key=lambda q: -q[0]))
            width = max(1.0, 10 / len(p)) if len(p) < 20 else 0.6
            x = left + width * (np.arange(len(p)) + 0.5)
            bottom: NDArray[np.float64] = np.zeros(len(p))
            for c, name in enumerate(SHORT):
                axes.bar(x, p[:, c], width, bottom, color=COLOURS[c], label=name if group is IXI else None, linewidth=0)
                bottom = bottom + p[:, c]
            ticks.append((float(x.mean()), textwrap.fill(f"{group.name} ({len(p)})", 11, break_long_words=False)))
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
