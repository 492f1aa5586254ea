"""What scans look most like: how well findings are told, on synthetic cases that were held out and on real scans."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor

from models import bundle as files
from models.predictive import augment, cell_probability
from models.runtime import Runner
from pipelines.bench.classification_page import write
from pipelines.bench.classification_scans import (
    AS_IT_IS,
    AT_2_MM,
    ELDERLY,
    GLIOMA_T1C,
    IXI,
    MS,
    OASIS,
    STRIPPED,
    THICK,
    RealScan,
    copy_of,
    heavily_damaged,
    read_scans,
)
from pipelines.bench.page import Bench, Inputs, Results, run
from pipelines.descriptors import describe, facts
from pipelines.engine import FINDING_SAMPLES, BundleEngine, load_engine
from pipelines.fit_classifier import Described, cross_validated, describe_cases, held_out, kept_features
from pipelines.labelled import features_folder
from pipelines.metrics import auroc
from triage.case import Volume
from triage.errors import TriageError
from triage.findings import FINDINGS, NOT_ASSESSABLE, predictive_entropy

KEYS = tuple(f.key for f in FINDINGS)
DAMAGED_SCANS = 4
OLD_YEARS = 60
NO_WEIGHT = 1e9
"""Precision of a prior that allows no weight."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Which of two sets of scans has the higher probability of `keys`. Sets: (group, copy); from least_age years on."""

    name: str
    keys: tuple[str, ...]
    positives: tuple[tuple[str, str], ...]
    negatives: tuple[tuple[str, str], ...]
    least_age: float = -math.inf


_LESIONS, _AGEING, _FOCAL = ("white_matter_lesions",), ("white_matter_lesions", "atrophy"), ("focal",)
_OLD, _IXI = ((ELDERLY.name, AS_IT_IS),), ((IXI.name, AS_IT_IS),)
COMPARISONS = (
    Comparison(
        name="elderly, against all normals", keys=_AGEING, positives=_OLD, negatives=(*_IXI, (OASIS.name, AS_IT_IS))
    ),
    Comparison(
        name="elderly, against normals at 2 mm with a skull as they are", keys=_AGEING, positives=_OLD, negatives=_IXI
    ),
    Comparison(
        name=f"and of {OLD_YEARS} years or more", keys=_AGEING, positives=_OLD, negatives=_IXI, least_age=OLD_YEARS
    ),
    Comparison(
        name="elderly, stripped, against normals at 2 mm, stripped",
        keys=_AGEING,
        positives=((ELDERLY.name, STRIPPED),),
        negatives=((IXI.name, STRIPPED),),
    ),
    Comparison(
        name="MS in thick slices, against normals at 2 mm",
        keys=_LESIONS,
        positives=((MS.name, AS_IT_IS),),
        negatives=_IXI,
    ),
    Comparison(
        name="MS in thick slices, against normals in 3.5 mm slices",
        keys=_LESIONS,
        positives=((MS.name, AS_IT_IS),),
        negatives=((IXI.name, THICK),),
    ),
    Comparison(
        name="glioma, T1 after contrast, 1 mm stripped, against normals, 1 mm stripped",
        keys=_FOCAL,
        positives=((GLIOMA_T1C.name, AS_IT_IS),),
        negatives=((OASIS.name, AS_IT_IS),),
    ),
    Comparison(
        name="and at 2 mm, against normals, 2 mm stripped",
        keys=_FOCAL,
        positives=((GLIOMA_T1C.name, AT_2_MM),),
        negatives=((OASIS.name, AT_2_MM), (IXI.name, STRIPPED)),
    ),
    Comparison(
        name="four scans, each damaged heavily in seven ways, against all as they are",
        keys=(NOT_ASSESSABLE.key,),
        positives=((IXI.name, "damaged"),),
        negatives=_IXI,
    ),
)


def measure(inputs: Inputs) -> Results:
    """Synthetic cases by label map, then every real scan in every copy."""
    engine = load_engine(inputs.bundle)
    model, head = engine.model, engine.model.posterior.mean
    if model.classifier is None:
        raise TriageError(
            f"The bundle {inputs.bundle} has no classifier.", do="Fit one: `python -m pipelines.fit_classifier --help`."
        )
    folder = features_folder(inputs.cache / "classifier", model.trunk)
    fit = json.loads((inputs.bundle / files.METADATA).read_text())["brain_triage"]["findings_fit"]
    synthetic = describe_cases(kept_cases(folder, int(fit["cases"])), head, model.temperature)
    rows = [row_of(engine, *scan) for scan in scans(inputs, head, engine.runner, folder)]
    return {
        "bundle": f"{model.name} {model.version}",
        "fit": fit,
        "synthetic": synthetic_rows(synthetic, fit),
        "ablation": ablation(synthetic, fit),
        "real": anonymous(rows),
        "comparisons": [compared(c, rows) for c in COMPARISONS],
    }


def kept_cases(folder: Path, n: int) -> list[Path]:
    """The features of the synthetic cases that the classifier was fitted on. Raises TriageError where some lack."""
    paths = sorted(folder.glob("[0-9]*.npz"))[:n]
    if len(paths) < n:
        raise TriageError(
            f"{folder} holds {len(paths)} of the {n} synthetic cases that the classifier was fitted on.",
            do="Draw them, with a copy of the bundle, which it writes into: `python -m pipelines.fit_classifier "
            f"--bundle COPY --label-maps MAPS.npz --lesion-shapes FOLDER --cases {n} --cache {folder.parent}`.",
        )
    return paths


def scans(inputs: Inputs, head: Tensor, runner: Runner, folder: Path) -> Iterator[tuple[RealScan, str, Tensor]]:
    """Every real scan in every copy, with its trunk features (kept); then the first few scans, damaged."""
    chosen = list(read_scans(inputs.cases))
    for scan in chosen:
        for how in scan.copies:

            def make(scan: RealScan = scan, how: str = how) -> Volume:
                return copy_of(scan, how, head, runner)

            column = scan.path.name.split("_")[-1].partition(".")[0]
            yield scan, how, kept_features(folder / f"{scan.name}.{column}.{how}.npz".replace(" ", "-"), make, runner)
    for scan in [s for s in chosen if s.group == IXI.name and THICK in s.copies][:DAMAGED_SCANS]:
        for name, volume in heavily_damaged(scan, np.random.default_rng(0)):
            path = folder / f"{scan.name}.{name}.npz"
            yield scan, "damaged", kept_features(path, lambda volume=volume: volume, runner)  # type: ignore[misc]


def row_of(engine: BundleEngine, scan: RealScan, how: str, features: Tensor) -> dict[str, Any]:
    """What the classifier says of one scan, as the engine asks it, and two plain numbers to hold it against."""
    model = engine.model
    probability = cell_probability(augment(features), model.posterior.mean, temperature=model.temperature)
    probability = probability.view(-1, *features.shape[1:])
    known = facts(probability)
    assert model.classifier is not None
    samples = model.classifier.sample(describe(features, probability), FINDING_SAMPLES, seed=0).numpy()
    return {
        "case": scan.name,
        "group": scan.group,
        "copy": how,
        "truth": scan.truth,
        "age_years": scan.age_years,
        "p": samples.mean(axis=0).round(5).tolist(),
        "entropy": predictive_entropy(samples),
        "ventricles": known["lateral_ventricles_share"],
        "lesion": known["lesion_share"],
    }


def anonymous(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows with people numbered in the order of the table, and without their ages: what the page needs."""
    people = list(dict.fromkeys(row["case"] for row in rows))
    return [
        {key: value for key, value in row.items() if key != "age_years"} | {"case": people.index(row["case"])}
        for row in rows
    ]


def synthetic_rows(cases: Described, fit: Mapping[str, float]) -> list[dict[str, Any]]:
    """Truth and probabilities of every synthetic case by a classifier that saw nothing of its label map."""
    p = held_out(cases, fit["precision_facts"], fit["precision_features"]).numpy().round(5)
    return [{"truth": KEYS[int(c)], "p": row.tolist()} for c, row in zip(cases.classes, p, strict=True)]


def ablation(cases: Described, fit: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Held-out (NLL, accuracy) with all descriptors, and with the weights of some held at zero by their prior."""
    facts_at, features_at = fit["precision_facts"], fit["precision_features"]
    return {
        "facts and pooled features": cross_validated(cases, facts_at, features_at),
        "facts alone": cross_validated(cases, facts_at, NO_WEIGHT),
        "pooled features alone": cross_validated(cases, NO_WEIGHT, features_at),
    }


def compared(comparison: Comparison, rows: Sequence[Row]) -> dict[str, Any]:
    """AUROC of the classifier, and of the ventricles, the lesion and the age alone.

    With an interval where every scan is of a person of its own: copies of one person tell less than as many people.
    """
    columns = [KEYS.index(key) for key in comparison.keys]
    sets = [_chosen(rows, wanted, comparison.least_age) for wanted in (comparison.positives, comparison.negatives)]
    n, m = (len(s) for s in sets)
    area = _area(sets, lambda row: sum(row["p"][c] for c in columns))
    people = len({row["case"] for rows_of in sets for row in rows_of})
    low, high = auroc_interval(area, n, m) if people == n + m else (math.nan, math.nan)
    return {
        "name": comparison.name,
        "positives": n,
        "negatives": m,
        "auroc": area,
        "low": low,
        "high": high,
        "ventricles": _area(sets, lambda row: row["ventricles"]),
        "lesion": _area(sets, lambda row: row["lesion"]),
        "age": _area([[r for r in s if r["age_years"] > 0] for s in sets], lambda row: row["age_years"]),
    }


def auroc_interval(area: float, n: int, m: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score-like interval of an AUROC of n positives and m negatives; it does not close at 0 and 1.

    Source: Newcombe 2006, Stat. Med. 25(4), method 5, with the variance of Hanley and McNeil 1982, Radiology 143(1).
    """
    if math.isnan(area):
        return math.nan, math.nan
    z = float(norm.ppf((1 + confidence) / 2))
    middle = (n + m) / 2 - 1

    def gap(true: float) -> float:
        spread = true * (1 - true) * (1 + middle * ((1 - true) / (2 - true) + true / (1 + true))) / (n * m)
        return (area - true) ** 2 - z * z * spread

    # 0 and 1 are roots themselves when they are what was seen: the search starts beside it.
    low = 0.0 if area <= 0 else float(brentq(gap, 0, area * (1 - 1e-9)))
    high = 1.0 if area >= 1 else float(brentq(gap, area + (1 - area) * 1e-9, 1))
    return low, high


def _chosen(rows: Sequence[Row], wanted: Sequence[tuple[str, str]], least_age: float) -> list[Row]:
    found = [row for row in rows if (row["group"], row["copy"]) in wanted]
    return [row for row in found if math.isinf(least_age) or row["age_years"] >= least_age]


def _area(sets: Sequence[Sequence[Row]], score: Callable[[Row], float]) -> float:
    values = np.array([score(row) for s in sets for row in s], np.float64)
    return auroc(values, np.arange(len(values)) < len(sets[0]))


BENCH = Bench(name="classification", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
