"""The page of `pipelines.bench.segmentation`: bars and what is reached, then the figures behind them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.lesions import DETECTED
from pipelines.bench.other_tools import NAIVE, PASSES, TOOLS
from pipelines.bench.page import Results, figure, table
from pipelines.bench.segmentation_bars import (
    BAND_ECE,
    ERROR_AUROC,
    IXI_BARS,
    LESION_DICE,
    NAMES,
    OASIS_BARS,
    RHO,
)
from pipelines.bench.segmentation_plots import draw_calibration, draw_dice, draw_scores
from pipelines.compare import GRADED
from pipelines.metrics import spearman, subject_interval

Rows = Sequence[Mapping[str, Any]]

TOOL_NAMES: Mapping[str, str] = {
    "this": "**this network, posterior and prior**",
    NAIVE: f"this network, {PASSES} naive MC-dropout passes, eager torch",
    **TOOLS,
}
TISSUES: Mapping[str, str] = {
    "grey_matter": "grey",
    "white_matter": "white",
    "grey_or_csf": "grey or CSF, in the manual brain",
}


def write(results: Results, folder: Path) -> str:
    """Plots and text."""
    draw_dice(results, folder / "segmentation-dice.png")
    draw_calibration(results, folder / "segmentation-calibration.png")
    draw_scores(results["cases"], folder / "segmentation-score.png")
    oasis, ixi, lesions = results["oasis"], results["ixi"], results["lesions"]
    return PAGE.format(
        bundle=results["bundle"],
        sulcal=100 * _mean([row["cortex_called_csf"] for row in oasis]),
        n_ixi=len(ixi),
        bars=table(["", "scans", "bar", "reached", "95 % interval", ""], [*bar_rows(results)]),
        oasis=structure_table(oasis, results["calibration"]["oasis"]),
        per_scan=scan_table(oasis),
        ixi=structure_table(ixi, results["calibration"]["ixi"]),
        tools=tool_table(results),
        lesions=lesion_table(lesions),
        naive=naive_cost(results["tools"]),
        detected=DETECTED,
    )


def bar_rows(results: Results) -> list[list[object]]:
    """One row a bar: where, how many scans, the bar, the figure, its interval, whether it is met."""
    oasis, ixi, lesions = results["oasis"], results["ixi"], results["lesions"]
    rows = [_mean_bar(f"Dice, {NAMES[key]}", "OASIS", oasis, ("dice", key), bar) for key, bar in OASIS_BARS.items()]
    rows += [_mean_bar(f"Dice, {NAMES[key]}", "IXI", ixi, ("dice", key), bar) for key, bar in IXI_BARS.items()]
    elderly = [row for row in lesions if row["contrast"] == "flair" and row["finding"] != "tumour"]
    rows.append(_mean_bar("Dice, white-matter lesions on FLAIR", "elderly", elderly, ("dice",), LESION_DICE))
    gliomas = [row for row in lesions if row["finding"] == "tumour"]
    found = sum(row["jaccard"] >= DETECTED for row in gliomas)
    met = _met(found == len(gliomas))
    rows.append(["gliomas found, FLAIR and T1c", f"{len(gliomas)} BraTS images", "all", str(found), "", met])
    for name in ("oasis", "ixi"):
        worst = max(results["calibration"][name].items(), key=lambda item: float(item[1]["ece"]))
        ece = float(worst[1]["ece"])
        rows.append(
            [
                f"ECE in the boundary band, worst structure ({NAMES[worst[0]]})",
                f"{len(results[name])} {name.upper()}",
                f"&le; {figure(BAND_ECE, 2)}",
                ece,
                "",
                _met(ece <= BAND_ECE),
            ]
        )
    for where, text in (("image", "whole image"), ("brain", "brain and 2 mm around")):
        rows.append(
            _mean_bar(
                f"AUROC of entropy for a wrong voxel, {text}", "OASIS", oasis, ("error_auroc", where), ERROR_AUROC
            )
        )
    for split, text in (("", "tune and test"), ("test", "test split")):
        cases = [row for row in results["cases"] if split in row["split"]]
        rho, low, high = score_correlation(cases)
        interval = f"{figure(low)} to {figure(high)}"
        rows.append(
            [
                f"Spearman of the case's score with 1 - Dice, {text}",
                f"{len(cases)} cases",
                figure(RHO, 2),
                rho,
                interval,
                _met(rho >= RHO),
            ]
        )
    return rows


def score_correlation(cases: Rows) -> tuple[float, float, float]:
    """Spearman of the score with 1 - mean Dice, and its 95 % interval over subjects, each with all of its copies."""

    def correlation(subjects: Sequence[Rows]) -> float:
        rows = [row for subject in subjects for row in subject if row["score"] is not None]
        return spearman(np.array([row["score"] for row in rows]), np.array([1 - row["dice"] for row in rows]))

    subjects = [[row for row in cases if row["case"] == name] for name in sorted({row["case"] for row in cases})]
    return correlation(subjects), *subject_interval(subjects, correlation, n=500)


def structure_table(rows: Rows, calibration: Mapping[str, Any]) -> str:
    """Dice of all, worst, and of the test split; surface distance; calibration in the band."""
    test = [row for row in rows if row["split"] == "test"]
    lines = []
    for key in GRADED:
        dice = [row["dice"][key] for row in rows]
        lines.append(
            [
                NAMES[key],
                _mean(dice),
                min(dice),
                _mean([row["dice"][key] for row in test]),
                figure(_mean([row["hd95_mm"][key] for row in rows]), 1),
                calibration[key]["ece"],
            ]
        )
    tissues = [
        [NAMES[k], *_spread([r["dice"][k] for r in rows]), _mean([r["dice"][k] for r in test])] for k in IXI_BARS
    ]
    return table(
        [
            "structure",
            f"Dice, mean of {len(rows)}",
            "worst",
            f"test split ({len(test)})",
            "95 % distance, mm",
            "ECE in the band",
        ],
        [*lines, *([*line, "", ""] for line in tissues)],
    )


def scan_table(rows: Rows) -> str:
    """Every scan with its split."""
    return table(
        ["scan", "split", *(NAMES[key] for key in GRADED)],
        [[row["case"], row["split"], *(row["dice"][key] for key in GRADED)] for row in rows],
    )


def tool_table(results: Results) -> str:
    """Each tool on the scans it ran on, with this network on the same scans in brackets."""
    this = {row["case"]: row["tissues"] for row in results["oasis"]}
    lines: list[list[object]] = [
        [
            TOOL_NAMES["this"],
            len(this),
            *(_mean([one[key] for one in this.values()]) for key in TISSUES),
            f"{results['cpu_s']:.0f}",
        ]
    ]
    for tool in (name for name in TOOL_NAMES if name != "this"):
        own = [row for row in results["tools"] if row["tool"] == tool]
        beside = [this[row["case"]] for row in own]
        pairs = [f"{figure(_mean([r[k] for r in own]))} ({figure(_mean([r[k] for r in beside]))})" for k in TISSUES]
        lines.append([TOOL_NAMES[tool], len(own), *pairs, f"{_mean([row['cpu_s'] for row in own]):.0f}"])
    return table(["", "scans", *TISSUES.values(), "CPU s a scan"], lines)


def naive_cost(tools: Rows) -> str:
    """What naive passes cost over one prediction, both measured in the same run."""
    ratios = [row["cpu_s"] / row["own_cpu_s"] for row in tools if row["tool"] == NAIVE and "own_cpu_s" in row]
    if not ratios:
        return f"Of the {PASSES} naive passes one was timed, and none was graded."
    return (
        f"Measured in the same run, {PASSES} naive passes cost {_mean(ratios):.1f} times the CPU time of this "
        "network's whole prediction with its posterior and prior."
    )


def lesion_table(rows: Rows) -> str:
    """Every image, worst first within its finding."""
    ordered = sorted(rows, key=lambda row: (row["finding"], -(row["dice"] or 0)))
    return table(
        ["image", "Dice", "Jaccard", "95 % distance, mm", "found, ml", "expected, ml", "drawn, ml"],
        [
            [
                r["case"],
                r["dice"],
                r["jaccard"],
                *(figure(r[k], 1) for k in ("hd95_mm", "found_ml", "expected_ml", "true_ml")),
            ]
            for r in ordered
        ],
    )


def _mean_bar(name: str, where: str, rows: Rows, path: tuple[str, ...], bar: float) -> list[object]:
    values = [value for row in rows if (value := _at(row, path)) is not None]
    low, high = subject_interval(values, _mean)
    mean = _mean(values)
    interval = f"{figure(low)} to {figure(high)}"
    return [name, f"{len(values)} {where}", figure(bar, 2), mean, interval, _met(mean >= bar)]


def _at(row: Any, path: tuple[str, ...]) -> float | None:
    for key in path:
        row = row[key]
    return None if row is None else float(row)


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return _mean(values), min(values)


PAGE = """# Real scans against their labels

Model: {bundle}. The ten OASIS scans (skull-stripped, 1 mm) have manual labels of the Neuromorphometrics
protocol. The {n_ixi} IXI scans (whole head, 2 mm, test split) have labels that another network made (DLMUSE, of the
same protocol): silver truth. None of these images was trained on. The prior and the temperature were fitted on scans of
the tune split, two of OASIS among them, so the test split is also shown apart.

## The bars

{bars}
Dice, distances and AUROC are means over scans; intervals are over scans, or subjects with all of their copies, drawn
again. ECE is pooled over the scans, of each structure's probability within 2 mm of its boundary, the worst structure.

**What the protocols do.** The manual cortical grey matter holds the sulcal CSF between the gyri, which this model
calls CSF: {sulcal:.0f} % of the manual cortex on OASIS. A right answer there counts as an error of cortex, of entropy
and of calibration. IXI labels lie on a grid of 2 mm, where a voxel off at the surface of a thin structure costs much
Dice, and they are those of a network: agreement beyond its own errors cannot be seen.

**What would move them.** The trunk is that of the spike, trained for 15 minutes on 20 label maps: what Dice on IXI, on
lesions and on the small structures lacks is a longer run on a GPU, with lesions of real shape and more whole heads at
2 mm. The curves below show where calibration fails: probabilities of hippocampus and deep grey matter are too high at
their borders and those of the white matter too low. That is a bias of where the border lies, most likely that of the
FreeSurfer protocol of the label maps, and no temperature moves a border. Entropy is small where such an error is sure
of itself, which holds down the AUROC in the brain as well.

![Dice of every scan](segmentation-dice.png)

## OASIS, manual labels

{oasis}
{per_scan}
## IXI, automatic labels

{ixi}
![Calibration in the boundary band](segmentation-calibration.png)

## Side by side with what else a user could take

On the same OASIS scans, tissues only; in brackets this network on the scans that the tool ran on. CPU seconds are of
one process over all its threads; this network's contain all from the scanner's volume back to it. The last column but
one joins grey matter and CSF within the manual brain, where it no longer matters to whom sulcal CSF belongs: what is
left of the lead there is who finds the white matter. The others need a skull-stripped image and name no structures.
What takes long ran on fewer scans. {naive}

{tools}
## Lesions

White-matter lesions of the elderly (FLAIR alone, 2 mm; masks by another network, DLWMLS), and gliomas (BraTS, manual,
whole tumour with oedema). A glioma is found where the Jaccard index is at least {detected}. The MS scans have a mask of
change between two visits, none of a single scan, so they are not counted here.

{lesions}
## Does the score of a case know its Dice?

The score here is the mean predictive entropy of the brain; scans and damaged copies are those of
[the page of doubt](doubt.md), which compares other scores. The gate's own sum over all signals was not measured.

![Score against Dice](segmentation-score.png)

`python -m pipelines.bench.segmentation`; the other tools: `pipelines/bench/baselines/tissues.py`.
"""
