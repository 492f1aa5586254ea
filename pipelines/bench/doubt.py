"""Does the network know what it does not know? Its doubt as inputs move away from what it was trained on.

python -m pipelines.bench.doubt --data ../shared/data --cache CACHE
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.bundle import METADATA
from pipelines.bench import saliency
from pipelines.bench.doubt_cases import CLEAN, KINDS, LEVELS, NO_BRAIN, Row, measured
from pipelines.bench.doubt_measures import (
    BAD_LOSS,
    MEASURES,
    Measure,
    at_level,
    labelled,
    of_row,
    rise,
    share_of_limit,
    values,
    with_error,
    within_scans,
)
from pipelines.bench.doubt_plots import TITLES, draw_errors, draw_levels
from pipelines.bench.doubt_text import PAGE, verdict, wrapped
from pipelines.bench.page import Bench, Inputs, Results, run, table
from pipelines.engine import SAMPLES, load_engine
from pipelines.metrics import auroc, spearman
from triage.gate.operating_point import FILE, read_operating_point

LEVELS_PLOT, ERRORS_PLOT = "doubt-levels.png", "doubt-errors.png"
LIMITED = {"density": "feature_density", "conflict": "prior_conflict"}
"""Name of a measure -> that of the gate's signal."""
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
        "posterior": json.loads((inputs.bundle / METADATA).read_text())["brain_triage"]["posterior"].replace("_", " "),
        "limits": {name: (limits[name].typical, limits[name].limit) for name in LIMITED.values()},
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
    return wrapped(
        PAGE.format(
            bundle=results["bundle"],
            **_of_scans(rows),
            levels=", ".join(map(str, LEVELS)),
            samples=SAMPLES,
            posterior_name=results["posterior"],
            crop=" x ".join(map(str, saliency.CROP)),
            bad_loss=BAD_LOSS,
            refused=", ".join(refused) or "none",
            agreement=_agreement(rows),
            rises=_rises(rows),
            nothing=_nothing(rows),
            saliency=_saliency(results["saliency"]),
            **_told(rows, results["limits"]),
            verdict=_verdict(results["saliency"]),
        )
    )


def _agreement(rows: Sequence[Row]) -> str:
    """Spearman's correlation with the error, by kind and over all, and AUROC for failure."""
    seen = labelled(rows)
    failed = np.array([row["failed"] for row in seen])
    lines: list[list[object]] = []
    for name, doubt in MEASURES.items():
        groups = [labelled(rows, kind) for kind in (*KINDS, None)]
        line = [spearman(values(group, doubt), values(group, of_row("error"))) for group in groups]
        lines.append([name, *line, within_scans(seen, doubt), auroc(values(seen, doubt), failed)])
    return table(["Spearman with the error", *TITLES.values(), "all", "within a scan", "AUROC, failure"], lines)


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


def _of_scans(rows: Sequence[Row]) -> dict[str, object]:
    clean = [row for row in rows if row["kind"] == CLEAN]
    splits = [row["split"] for row in clean]
    return {"tests": splits.count("test"), "tunes": splits.count("tune"), "scans": ", ".join(r["case"] for r in clean)}


def _told(rows: Sequence[Row], limits: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Numbers of the sentences, named <kind of damage>_<measure>; at the worst level."""
    clean = [row for row in rows if row["kind"] == CLEAN]
    seen, nothing = labelled(rows), [row for row in rows if row["kind"] == NO_BRAIN]
    softmax, posterior = MEASURES["entropy, softmax"], MEASURES["entropy, posterior"]
    conflict = MEASURES["conflict with anatomy"]
    entropy = float(values(clean, posterior).mean())
    tempered = float(values(clean, MEASURES["entropy, softmax with temperature"]).mean())
    rising = {
        "softmax": softmax,
        "posterior": posterior,
        "information": MEASURES["mutual information"],
        "disagreement": MEASURES["disagreement of samples"],
    }
    shares = {signal: share_of_limit(name, limits[signal]) for name, signal in LIMITED.items()}
    told: dict[str, object] = {
        "labelled": len(seen),
        "failures": sum(row["failed"] for row in rows),
        "over_softmax": f"{100 * (entropy / tempered - 1):.1f}",
        "share_information": f"{100 * values(clean, MEASURES['mutual information']).mean() / entropy:.1f}",
        "no_brain_softmax": _range(nothing, softmax, values(clean, softmax).mean()),
        "no_brain_posterior": _range(nothing, posterior, values(clean, posterior).mean()),
        "conflict_rho": f"{spearman(values(seen, conflict), values(seen, of_row('error'))):.2f}",
        "conflict_auroc": f"{auroc(values(seen, conflict), np.array([row['failed'] for row in seen])):.2f}",
        "clean_error": f"{values(clean, of_row('error')).mean():.2f}",
    }
    for kind in KINDS:
        told[f"{kind}_error"] = f"{at_level(rows, kind, LEVELS[-1], of_row('error')).mean():.2f}"
        told |= {f"{kind}_{name}": f"{rise(rows, kind, doubt):.2f}" for name, doubt in rising.items()}
        told |= {f"{kind}_{n}": f"{at_level(rows, kind, LEVELS[-1], share).mean():.1f}" for n, share in shares.items()}
    return told


def _range(rows: Sequence[Row], measure: Measure, unit: float) -> str:
    found = values(rows, measure) / unit
    return f"{found.min():.1f} to {found.max():.1f}"


def _verdict(checks: Mapping[str, Results]) -> str:
    """The last sentences of the page."""
    found = list(checks.values())
    last, deep = (
        list(saliency.STAGES)[-1],
        [v for check in found for v in check["stages"][saliency.ALL_BUT_FIRST].values()],
    )
    entropy = [value for check in found for value in check["entropy"].values()]
    return verdict(
        left={name: max(abs(check["stages"][last][name]) for check in found) for name in found[0]["edges"]},
        deep=(min(deep), max(deep)),
        entropy=(min(entropy), max(entropy)),
        cost=float(np.mean([check["backward_over_forward"] for check in found])),
    )


BENCH = Bench(name="doubt", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
