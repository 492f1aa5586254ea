"""Set provisional limits of the gate from good scans of the tune split. They promise nothing: see the text they carry.

  python -m pipelines.set_limits --cases cases.csv --bundle models/shipped

For each signal, typical is the largest value among the good scans; the limit lies SPREADS times their range above it.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bundle import seal
from pipelines.engine import load_engine
from pipelines.evaluate import SEED, read_nifti, read_scans
from triage.gate.operating_point import FILE, VERSION
from triage.gate.signals import FAR_MM, NOT_IN_EVERY_BUNDLE, SIGNALS, Evidence

SPREADS = 3.0
SMALLEST_RANGE = {"prior_conflict": 0.03, "input_quality": 0.2}
"""Ranges below which the good scans were too alike to tell a spread, in the signal's unit."""
YOUNGEST_YEARS = 18.0
PROMISE = (
    "Provisional: the limits were set from {n} good scans and are not certified. "
    "No error rate is promised for accepted cases; check a sample of them."
)


def usual_entropy(cases: Sequence[Evidence]) -> NDArray[np.float64]:
    """Mean entropy of the brain at each distance from a boundary, averaged over the scans, (FAR_MM + 1,) nats."""
    means = [[float(e.entropy[e.brain & (e.distance == d)].mean()) for d in range(FAR_MM + 1)] for e in cases]
    return np.asarray(np.mean(means, axis=0), np.float64)


def provisional_limits(values: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """typical and limit of every signal from its values on good scans."""
    limits = {}
    for name, seen in values.items():
        spread = max(max(seen) - min(seen), SMALLEST_RANGE.get(name, 0.0))
        limits[name] = {"typical": round(max(seen), 5), "limit": round(max(seen) + SPREADS * spread, 5)}
    return limits


def main() -> None:
    """Predict the tune split, write operating_point.json, seal the bundle again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    args = parser.parse_args()
    engine = load_engine(args.bundle)
    scans = read_scans(args.cases, ["tune"])
    zero = np.zeros(FAR_MM + 1)
    cases = [Evidence(prediction=engine.predict(read_nifti(scan.t1), seed=SEED), usual_entropy=zero) for scan in scans]
    usual = usual_entropy(cases)
    seen = [Evidence(prediction=e.prediction, usual_entropy=usual) for e in cases]
    given = [name for name in SIGNALS if engine.model.classifier is not None or name not in NOT_IN_EVERY_BUNDLE]
    values = {name: [SIGNALS[name](e) for e in seen] for name in given}
    point = {
        "version": VERSION,
        "certified": False,
        "accepts": True,
        "promise": PROMISE.format(n=len(scans)),
        "population": {"weightings": ["T1"], "youngest_years": YOUNGEST_YEARS},
        "score_limit": 1.0,
        "limits": provisional_limits(values),
        "usual_entropy_nats": usual.round(5).tolist(),
        "made": {
            "from": "good scans of the tune split",
            "n": len(scans),
            "date": datetime.now(UTC).date().isoformat(),
            "bundle_before": engine.bundle.digest,
            "values": {k: np.round(v, 5).tolist() for k, v in values.items()},
        },
    }
    (args.bundle / FILE).write_text(json.dumps(point, indent=2, allow_nan=False) + "\n")
    print(f"bundle {seal(args.bundle)}")
    for name, limit in point["limits"].items():
        print(f"{name:20} typical {limit['typical']:.4f}  limit {limit['limit']:.4f}  {np.round(values[name], 3)}")


if __name__ == "__main__":
    main()
