"""Measure a bundle on labelled scans: Dice against their labels, signals and verdicts, one row a scan.

  python -m pipelines.evaluate --cases cases.csv --splits tune --out rows.json

cases.csv has the columns case, split, t1, label, label2, label_kind, with paths relative to the file itself.
"""

import argparse
import csv
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipelines.engine import BundleEngine, load_engine
from pipelines.settings import SHIPPED_BUNDLE
from triage.anatomy import N_CLASSES, STRUCTURES, TISSUES
from triage.case import Volume
from triage.gate.signals import FAR_MM, SIGNALS, Evidence
from triage.verdict import Prediction

SEED = 0


def _neuromorphometrics() -> NDArray[np.uint8]:
    """Neuromorphometrics id (also those of DLMUSE) -> class, a table of 256."""
    table = np.zeros(256, np.uint8)
    classes: Mapping[int, Iterable[int]] = {
        1: (46, 1),
        2: range(100, 208),
        3: (44, 45, *range(81, 96)),
        4: (23, 30, 36, 37, 55, 56, 57, 58, 59, 60, 75, 76),
        5: (31, 32, 47, 48),
        6: (49, 50, 51, 52),
        7: (4, 11, 15),
        8: (38, 39, 71, 72, 73),
        9: (40, 41),
        10: (35, 61, 62),
    }
    for target, sources in classes.items():
        table[list(sources)] = target
    return table


NEUROMORPHOMETRICS = _neuromorphometrics()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One row of cases.csv. labels: a Neuromorphometrics or DLMUSE parcellation, None when there is none.

    manual: drawn by a person, not by another network.
    """

    name: str
    split: str
    finding: str
    t1: Path
    labels: Path | None
    manual: bool


def read_scans(table: Path, splits: Sequence[str]) -> list[Scan]:
    """The scans with a T1 of these splits, in the order of the table."""
    with table.open(newline="") as stream:
        return [_scan(row, table.parent) for row in csv.DictReader(stream) if row["split"] in splits and row["t1"]]


def read_nifti(path: Path) -> Volume:
    """A trusted NIfTI file as a volume."""
    image = nib.load(path)
    return Volume(array=np.asarray(image.dataobj, np.float32), affine=np.asarray(image.affine, np.float64))


def evaluate(scans: Iterable[Scan], engine: BundleEngine) -> Iterator[dict[str, Any]]:
    """One JSON-ready row a scan; signals against no usual entropy, which `pipelines.set_limits` then derives."""
    for scan in scans:
        volume = read_nifti(scan.t1)
        start = time.perf_counter()
        prediction = engine.predict(volume, seed=SEED)
        seconds = time.perf_counter() - start
        row = describe(prediction) | {
            "case": scan.name,
            "split": scan.split,
            "finding": scan.finding,
            "seconds": seconds,
        }
        if scan.labels is not None:
            truth = NEUROMORPHOMETRICS[np.asarray(nib.load(scan.labels).dataobj).astype(np.int64)]
            row["dice"] = dice_table(prediction.scanner_labels, truth)
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
    """2 |A and B| / (|A| + |B|) for every labelled class, the tissues and the lateral ventricles; NaN where absent."""
    groups = {s.key: (s.id,) for s in STRUCTURES if s.id < N_CLASSES - 1} | dict(TISSUES)
    table = {}
    for key, ids in groups.items():
        a, b = np.isin(labels, ids), np.isin(truth, ids)
        size = int(a.sum() + b.sum())
        table[key] = 2 * int((a & b).sum()) / size if size and b.any() else float("nan")
    return table


def _scan(row: Mapping[str, str], folder: Path) -> Scan:
    parcellation = next((row[k] for k in ("label2", "label") if row[k] and "BraTS" not in row["label_kind"]), None)
    usable = parcellation is not None and "change mask" not in row["label_kind"]
    return Scan(
        name=row["case"],
        split=row["split"],
        finding=row["finding"],
        t1=folder / row["t1"],
        labels=folder / parcellation if usable and parcellation else None,
        manual=row["label_kind"].startswith("manual"),
    )


def main() -> None:
    """Evaluate and print the mean Dice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--splits", nargs="+", default=["tune"])
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE)
    parser.add_argument("--only", nargs="*", default=[], help="case names; all when none is given")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    scans = [s for s in read_scans(args.cases, args.splits) if not args.only or s.name in args.only]
    rows = []
    for row in evaluate(scans, load_engine(args.bundle)):
        rows.append(row)
        dice = row.get("dice", {})
        shown = " ".join(f"{k} {dice[k]:.3f}" for k in (*TISSUES, "lateral_ventricles") if k in dice)
        print(f"{row['case']}: {row['seconds']:.1f} s {shown}", flush=True)
        args.out.write_text(json.dumps(rows, indent=1))
    labelled = [row["dice"] for row in rows if "dice" in row]
    for key in labelled[0] if labelled else ():
        print(f"mean Dice {key}: {np.nanmean([d[key] for d in labelled]):.3f} over {len(labelled)}")


if __name__ == "__main__":
    main()
