"""What scans look most like: how well findings are told, on synthetic cases that were held out and on real scans."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from models import bundle as files
from models.predictive import augment, cell_probability
from models.runtime import Runner
from pipelines.bench.classification_comparisons import COMPARISONS, compared
from pipelines.bench.classification_page import KEYS, Row, write
from pipelines.bench.classification_scans import (
    IXI,
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
from triage.case import Volume
from triage.errors import TriageError
from triage.findings import predictive_entropy

DAMAGED_SCANS = 4
NO_WEIGHT = 1e9
"""Precision of a prior that allows no weight."""


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


BENCH = Bench(name="classification", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
