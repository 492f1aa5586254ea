"""The page of `pipelines.bench.segmentation`: bars and what is reached, then the figures behind them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.doubt_text import wrapped
from pipelines.bench.lesions import DETECTED
from pipelines.bench.page import Results, figure, table
from pipelines.bench.predictive import BENCH as PREDICTIVE
from pipelines.bench.predictive import reached
from pipelines.bench.segmentation_bars import (
    BY_FAR,
    IXI_BARS,
    NAMES,
    SCORES,
    bars_table,
    counted,
    score_correlation,
)
from pipelines.bench.segmentation_plots import draw_calibration, draw_dice, draw_scores
from pipelines.bench.segmentation_text import PAGE, PROTOCOL
from pipelines.bench.segmentation_tools import Rows, beside_trivial, missing, naive_cost, tool_table
from pipelines.compare import GRADED
from pipelines.metrics import FEWEST, known_mean, spearman

SHIFT = 0.8
"""A calibration error is one shift where its excess is so much of it."""


def write(results: Results, folder: Path) -> str:
    """Plots and text. What samples cost is read from the figures of `pipelines.bench.predictive` in that folder."""
    draw_dice(results, folder / "segmentation-dice.png")
    draw_calibration(results, folder / "segmentation-calibration.png")
    draw_scores(results["cases"], folder / "segmentation-score.png")
    oasis, ixi, lesions = results["oasis"], results["ixi"], results["lesions"]
    page = PAGE.format(
        bundle=results["bundle"],
        n_ixi=len(ixi),
        bars=bars_table(results, read_cost(folder)),
        far=figure(BY_FAR, 2),
        fewest=FEWEST,
        trivial=beside_trivial(results),
        oasis=structure_table(oasis, results["calibration"]["oasis"]),
        per_scan=scan_table(oasis),
        ixi=structure_table(ixi, results["calibration"]["ixi"]),
        protocol=protocol_list(results).format(
            sulcal=100 * known_mean([row["cortex_called_csf"] for row in oasis]), narrow=narrow_ventricles(oasis)
        ),
        excess=excess_words(results),
        tools=tool_table(results),
        missing=missing(results),
        lesions=lesion_table(lesions),
        naive=naive_cost(results["tools"]),
        detected=DETECTED,
        scores=score_table(results["cases"]),
    )
    return wrapped(page)


def read_cost(folder: Path) -> Mapping[str, float]:
    """See `cost_bars`; empty where it was not measured."""
    figures = folder / f"{PREDICTIVE.name}.json"
    return reached(json.loads(figures.read_text())) if figures.is_file() else {}


def structure_table(rows: Rows, calibration: Mapping[str, Any]) -> str:
    """Dice of all, worst, and of the test split; surface distance; volume; calibration in the band."""
    test = [row for row in rows if row["split"] == "test"]
    lines = []
    for key in GRADED:
        dice = [row["dice"][key] for row in rows]
        lines.append(
            [
                NAMES[key],
                known_mean(dice),
                min(dice),
                known_mean([row["dice"][key] for row in test]),
                figure(known_mean([row["hd95_mm"][key] for row in rows]), 1),
                _percent(_volume(rows, key)),
                calibration[key]["ece"],
                f"{calibration[key]['excess']:+.3f}",
            ]
        )
    tissues = [
        [NAMES[k], *_spread([r["dice"][k] for r in rows]), known_mean([r["dice"][k] for r in test])] for k in IXI_BARS
    ]
    return table(
        [
            "structure",
            f"Dice, mean of {len(rows)}",
            "worst",
            f"test split ({len(test)})",
            "95 % distance, mm",
            "volume against the labels: mean (range)",
            "ECE in the band",
            "of it excess",
        ],
        [*lines, *([*line, "", "", "", ""] for line in tissues)],
    )


def protocol_list(results: Results) -> str:
    """Of each structure, which way this network differs from either kind of labels, and what the protocols do."""
    return "\n".join(
        f"- **{NAMES[key]}**, {_side(results['oasis'], key)} on OASIS, {_side(results['ixi'], key)} on IXI. {words}"
        for key, words in PROTOCOL.items()
    )


def _side(rows: Rows, key: str) -> str:
    """Mean difference of the volume, and in how many scans it has that sign."""
    changes = _volume(rows, key)
    same = sum(change * known_mean(changes) > 0 for change in changes)
    return f"{_signed(100 * known_mean(changes))} % ({same} of {len(changes)} that way)"


def _volume(rows: Rows, key: str) -> list[float]:
    return [row["volume_ratio"][key] - 1 for row in rows]


def _percent(values: Sequence[float]) -> str:
    mean, low, high = (_signed(100 * x) for x in (known_mean(values), min(values), max(values)))
    return f"{mean} % ({low} to {high})"


def _signed(value: float) -> str:
    """A whole number with its sign, and none for zero."""
    return f"{round(value):+d}" if round(value) else "0"


def scan_table(rows: Rows) -> str:
    """Every scan with its split."""
    return table(
        ["scan", "split", *(NAMES[key] for key in GRADED)],
        [[row["case"], row["split"], *(row["dice"][key] for key in GRADED)] for row in rows],
    )


def narrow_ventricles(rows: Rows) -> float:
    """Spearman of the Dice of lateral ventricles with their volume in the labels."""
    key = "lateral_ventricles"
    return spearman(np.array([row["labels_ml"][key] for row in rows]), np.array([row["dice"][key] for row in rows]))


def excess_words(results: Results) -> str:
    """Of which structures the calibration error is one shift."""
    said = []
    for name in ("oasis", "ixi"):
        found = results["calibration"][name]
        shifted = [key for key, one in found.items() if abs(one["excess"]) >= SHIFT * one["ece"]]
        parts = [f"{NAMES[k].lower()} ({found[k]['excess']:+.3f} of {figure(found[k]['ece'])})" for k in shifted]
        said.append(f"on {name.upper()} {', '.join(parts) or 'no structure'}")
    return f"Four fifths of it and more are such a shift for: {'; '.join(said)}. For the others it is mostly not."


def score_table(cases: Mapping[str, Rows]) -> str:
    """Spearman of each score with 1 - Dice on each set of cases, with intervals where there are subjects enough."""
    of = {split: [row for row in cases["subjects"] if row["split"] == split] for split in ("test", "tune")}
    sets = {
        "test split, each subject damaged as the mixture draws, or not": of["test"],
        "of these, the damaged ones": [row for row in of["test"] if row["level"]],
        "of these, those as they are": [row for row in of["test"] if not row["level"]],
        "tune split, as it is and damaged; the gate's weights were fitted here": of["tune"],
        "stress ladder, every damage at five levels": cases["ladder"],
        "page of doubt, four kinds of damage at three levels": cases["doubt"],
    }
    lines = []
    for text, some in sets.items():
        cells = [_correlation(some, name) for name in SCORES]
        lines.append([text, counted(some), f"{known_mean([row['dice'] for row in some]):.3f}"[1:], *cells])
    return table(["", "cases", "mean Dice", *SCORES.values()], lines)


def _correlation(rows: Rows, name: str) -> str:
    known = [row for row in rows if name in row["scores"]]
    if not known:
        return "-"
    rho, low, high = score_correlation(known, name)
    return figure(rho) + ("" if np.isnan(low) else f" ({figure(low)} to {figure(high)})")


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


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return known_mean(values), min(values)
