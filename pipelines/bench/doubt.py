"""Does the network know what it does not know? Its doubt as inputs move away from what it was trained on.

python -m pipelines.bench.doubt --data ../shared/data --cache CACHE
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench import saliency
from pipelines.bench.doubt_cases import CLEAN, KINDS, NO_BRAIN, SCANS, Row, measured
from pipelines.bench.doubt_measures import (
    BAD_LOSS,
    MEASURES,
    at_level,
    labelled,
    of_row,
    rise,
    values,
    with_error,
)
from pipelines.bench.doubt_plots import TITLES, draw_errors, draw_levels
from pipelines.bench.doubt_text import PAGE, verdict
from pipelines.bench.page import Bench, Inputs, Results, run, table
from pipelines.engine import SAMPLES, load_engine
from pipelines.metrics import auroc, spearman
from triage.gate.operating_point import FILE, read_operating_point

LEVELS_PLOT, ERRORS_PLOT = "doubt-levels.png", "doubt-errors.png"
LIMITED = ("feature_density", "prior_conflict")
WITHOUT_BRAIN = (
    "entropy, softmax",
    "entropy, posterior",
    "mutual information",
    "feature density",
    "conflict with anatomy",
)


def measure(inputs: Inputs) -> Results:
    """Rows of all that was judged, what the gate takes for typical and for too much, and the check of saliency."""
    limits = read_operating_point(inputs.bundle / FILE).limits
    bundle = load_engine(inputs.bundle).bundle
    return {
        "bundle": f"{bundle.name} {bundle.version}",
        "limits": {name: (limits[name].typical, limits[name].limit) for name in LIMITED},
        "rows": measured(inputs),
        "saliency": saliency.measure(inputs),
    }


def write(results: Results, folder: Path) -> str:
    """The page, with its two plots."""
    judged = [row for row in results["rows"] if "refused" not in row]
    rows = [with_error(row, judged) for row in judged]
    draw_levels(rows, results["limits"], folder / LEVELS_PLOT)
    draw_errors(rows, folder / ERRORS_PLOT)
    refused = [row["case"] for row in results["rows"] if "refused" in row]
    return PAGE.format(
        bundle=results["bundle"],
        scans=len(SCANS),
        samples=SAMPLES,
        bad_loss=BAD_LOSS,
        refused=", ".join(refused) or "none",
        agreement=_agreement(rows),
        rises=_rises(rows),
        nothing=_nothing(rows),
        saliency=_saliency(results["saliency"]),
        **_told(rows),
        verdict=_verdict(results["saliency"]),
    )


def _agreement(rows: Sequence[Row]) -> str:
    """Spearman's correlation with the error, by kind and over all, and AUROC for failure."""
    seen = labelled(rows)
    failed = np.array([row["failed"] for row in seen])
    lines: list[list[object]] = []
    for name, doubt in MEASURES.items():
        groups = [labelled(rows, kind) for kind in (*KINDS, None)]
        line = [spearman(values(group, doubt), values(group, of_row("error"))) for group in groups]
        lines.append([name, *line, auroc(values(seen, doubt), failed)])
    return table(["Spearman with the error", *TITLES.values(), "all", "AUROC, failure"], lines)


def _rises(rows: Sequence[Row]) -> str:
    """At the worst level over the scans as they are; conflict is left out, whose zero is arbitrary."""
    shown = {"error, 1 - mean Dice": of_row("error"), **MEASURES}
    del shown["conflict with anatomy"]
    lines = [[name, *(f"{rise(rows, kind, doubt):.2f}" for kind in KINDS)] for name, doubt in shown.items()]
    return table(["level 5 over clean", *TITLES.values()], lines)


def _nothing(rows: Sequence[Row]) -> str:
    lines: list[list[object]] = [
        [row["case"], f"{row['brain_ml']:.0f}", *(MEASURES[name](row) for name in WITHOUT_BRAIN)]
        for row in rows
        if row["kind"] == NO_BRAIN
    ]
    clean = [row for row in rows if row["kind"] == CLEAN]
    means = [float(values(clean, MEASURES[name]).mean()) for name in WITHOUT_BRAIN]
    lines.append(["*scans as they are, mean*", f"{values(clean, of_row('brain_ml')).mean():.0f}", *means])
    return table(["volume", "called brain, ml", *WITHOUT_BRAIN], lines)


def _saliency(checks: Mapping[str, Results]) -> str:
    lines: list[list[object]] = []
    for scan, check in checks.items():
        for name in check["edges"]:
            stages = [check["stages"][stage][name] for stage in saliency.STAGES]
            lines.append([scan.split("_")[0], name, *stages, check["edges"][name], check["entropy"][name]])
    return table(["scan", "map", *saliency.STAGES, "image's edges", "entropy map"], lines)


def _told(rows: Sequence[Row]) -> dict[str, str]:
    """Numbers of the sentences."""
    softmax, tempered = MEASURES["entropy, softmax"], MEASURES["entropy, softmax with temperature"]
    posterior, information = MEASURES["entropy, posterior"], MEASURES["mutual information"]
    clean = [row for row in rows if row["kind"] == CLEAN]
    mean = {name: float(values(clean, doubt).mean()) for name, doubt in MEASURES.items()}
    over = float(mean["entropy, posterior"] / mean["entropy, softmax with temperature"])
    told: dict[str, Any] = {
        "labelled": len(labelled(rows)),
        "failures": sum(row["failed"] for row in rows),
        "over_softmax": f"{100 * (over - 1):.1f}",
        "share_information": f"{100 * mean['mutual information'] / mean['entropy, posterior']:.1f}",
    }
    for kind in KINDS:
        error = at_level(rows, kind, 5, of_row("error"))
        told[f"{kind}_error"] = f"{error.mean():.2f}"
        for name, doubt in {"softmax": softmax, "tempered": tempered, "posterior": posterior}.items():
            told[f"{kind}_{name}"] = f"{rise(rows, kind, doubt):.2f}"
        told[f"{kind}_information"] = f"{rise(rows, kind, information):.2f}"
        told[f"{kind}_density"] = f"{rise(rows, kind, MEASURES['feature density']):.1f}"
    return told | {"clean_error": f"{values(clean, of_row('error')).mean():.2f}"}


def _verdict(checks: Mapping[str, Results]) -> str:
    """The last sentences of the page, by the worst of the maps."""

    def worst(of: Callable[[Results, str], float]) -> float:
        return max(abs(of(check, name)) for check in checks.values() for name in check["edges"])

    return verdict(
        left=worst(lambda check, name: float(check["stages"]["all"][name])),
        backward=float(np.mean([check["backward_over_forward"] for check in checks.values()])),
        with_entropy=worst(lambda check, name: float(check["entropy"][name])),
    )


BENCH = Bench(name="doubt", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
