"""Measure a bundle on labelled scans: Dice against their labels, signals and entropy, one row a scan."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.engine import BundleEngine
from pipelines.labelled import labelled
from pipelines.markdown import table
from pipelines.metrics import dice
from pipelines.scans import NEUROMORPHOMETRICS, Scan, read_classes, read_nifti, read_scans
from triage.anatomy import N_CLASSES, STRUCTURES, TISSUES
from triage.gate.signals import FAR_MM, SIGNALS, Evidence
from triage.prediction import Prediction

__all__ = ["NEUROMORPHOMETRICS", "Scan", "read_nifti", "read_scans"]

SEED = 0


def evaluate(scans: Iterable[Scan], engine: BundleEngine, features: Path | None = None) -> Iterator[dict[str, Any]]:
    """One JSON-ready row a scan; signals against no usual entropy, which `pipelines.set_limits` then derives.

    features: a folder where those of this engine's trunk are kept.
    """
    for one in labelled(scans, engine.runner, features):
        scan = one.scan
        prediction = engine.infer(one.features, one.conformed, read_nifti(scan.t1), seed=SEED)
        row = describe(prediction) | {"case": scan.name, "split": scan.split, "finding": scan.finding}
        if scan.labels is not None:
            row["dice"] = dice_table(prediction.scanner_labels, read_classes(scan.labels)[0])
        yield row


def describe(prediction: Prediction, usual: NDArray[np.float64] | None = None) -> dict[str, Any]:
    """Signals and entropy by distance from a boundary, JSON-ready."""
    evidence = Evidence(prediction=prediction, usual_entropy=np.zeros(FAR_MM + 1) if usual is None else usual)
    by_distance = [evidence.entropy[evidence.brain & (evidence.distance == d)] for d in range(FAR_MM + 1)]
    return {
        "signals": {name: signal(evidence) for name, signal in SIGNALS.items()},
        "entropy_by_distance": [float(e.mean()) if e.size else float("nan") for e in by_distance],
        "quality": dict(prediction.quality),
        "timings_s": dict(prediction.timings_s),
        "volumes_ml": (prediction.volumes_mm3.mean(axis=0) / 1000).round(3).tolist(),
    }


def dice_table(labels: NDArray[np.uint8], truth: NDArray[np.uint8]) -> dict[str, float]:
    """Dice of every labelled class and of the tissues; NaN where the truth has none."""
    groups = {s.key: (s.id,) for s in STRUCTURES if s.id < N_CLASSES - 1} | dict(TISSUES)
    return {key: dice(np.isin(labels, ids), np.isin(truth, ids)) for key, ids in groups.items()}


def as_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Dice of the scans that have labels, one row a scan, and their mean."""
    found = {row["case"]: row["dice"] for row in rows if "dice" in row}
    if not found:
        return "No scan of these splits has labels.\n"
    keys = list(next(iter(found.values())))
    mean = {key: float(np.nanmean([dice[key] for dice in found.values()])) for key in keys}
    lines = (found | {"mean": mean}).items()
    return table(["scan", *keys], [[name, *(dice[key] for key in keys)] for name, dice in lines])
