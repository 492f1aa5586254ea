"""What a calibration writes: operating_point.json with its promise in a reader's words, in a copy of the bundle."""

import hashlib
import json
import math
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.bundle import METADATA, seal, write_metadata
from pipelines.calibrate import Calibration
from pipelines.certificate_text import MISSED, means, promise
from pipelines.failure import Habit, Habits
from pipelines.judged import Judged
from pipelines.mixture import in_words as mixture_in_words
from pipelines.scored import Item
from triage import __version__
from triage.disk import file_sha256
from triage.errors import TriageError
from triage.gate.certify import Level, upper_bound
from triage.gate.operating_point import FILE, VERSION, read_operating_point
from triage.gate.score import limits_of

ROOT = Path(__file__).parents[1]


def write_bundle(found: Calibration, bundle: Path, out: Path, confidence: float) -> str:
    """A copy of the bundle with the new operating point and the next version; returns its digest."""
    fresh(out)
    point = as_json(found, bundle, confidence)
    shutil.copytree(bundle, out)
    (out / FILE).write_text(json.dumps(point, indent=1, allow_nan=False) + "\n")
    read_operating_point(out / FILE)
    metadata = json.loads((out / METADATA).read_text())
    write_metadata(out / METADATA, metadata | {"version": next_version(metadata["version"])})
    return seal(out)


def fresh(out: Path) -> Path:
    """The folder, which must not exist. Raises TriageError."""
    if out.exists():
        raise TriageError(f"{out} exists, and a bundle is never overwritten.", do="Give --to a folder that does not.")
    return out


def next_version(version: str) -> str:
    """The weights stay, the limits are new: the last number goes up."""
    head, _, last = version.rpartition(".")
    return f"{head}.{int(last) + 1}"


def as_json(found: Calibration, bundle: Path, confidence: float) -> dict[str, Any]:
    """operating_point.json: what the gate reads, and `evaluation`, what it rests on."""
    before, level = read_operating_point(bundle / FILE), found.certified
    limits = limits_of(found.score.hinge, found.score.weights, found.unit)
    return {
        "version": VERSION,
        "certified": level is not None,
        "accepts": level is not None,
        "promise": promise(found, confidence),
        "population": {
            "weightings": sorted(before.weightings),
            "youngest_years": before.youngest_years,
            "oldest_years": found.oldest_years if math.isfinite(found.oldest_years) else None,
        },
        "score_limit": 1.0,
        "limits": {name: asdict(limit) for name, limit in limits.items()},
        "usual_entropy_nats": before.usual_entropy.round(5).tolist(),
        "evaluation": {
            "risk": level.risk if level else None,
            "confidence": confidence,
            "method": "fixed-sequence Learn-then-Test, exact binomial bound on the failure rate among accepted cases",
            "levels": [_level(one, found.unit) for one in found.levels],
            "lesion_levels": [_level(one, found.unit) for one in found.lesion_levels],
            "curve": [_point(found, *row) for row in found.curve],
            "groups": [asdict(group) for group in found.groups],
            "failed": {
                "means": means(found.score.habits),
                "missed": MISSED,
                "by_labels": {k: _habits(v) for k, v in found.score.habits.items()},
            },
            "mixture": mixture_in_words(),
            "score": {
                "ridge": None if math.isinf(found.score.ridge) else found.score.ridge,
                "held_out_auroc": {str(k): round(v, 4) for k, v in found.score.areas.items()},
                "weights": dict(zip(found.score.hinge.names, found.score.weights.round(4).tolist(), strict=True)),
            },
            "signals": _signals(found),
            "splits": {name: _split(getattr(found, name), found.unit) for name in ("tune", "calibrate", "test")},
            "date": datetime.now(UTC).date().isoformat(),
            "code": code_version(),
            "bundle_before": file_sha256(bundle / "SHA256SUMS"),
        },
    }


def read_habits(bundle: Path) -> dict[str, Habits]:
    """What counts as failed by a bundle's operating point, by source of labels; nothing where none was calibrated."""
    evaluation = json.loads((bundle / FILE).read_text()).get("evaluation") or {"failed": {"by_labels": {}}}
    sources: Mapping[str, Mapping[str, Any]] = evaluation["failed"]["by_labels"]
    return {source: {key: Habit(**habit) for key, habit in usual.items()} for source, usual in sources.items()}


def _level(level: Level, unit: float) -> dict[str, Any]:
    """Its limits in the unit of the gate's score."""
    limit = None if level.score_limit is None else level.score_limit / unit
    own = {"delta": round(level.delta, 6), "first_limit": level.first_limit / unit, "score_limit": limit}
    return asdict(level) | own


def _point(found: Calibration, limit: float, accepted: int, failures: int) -> dict[str, Any]:
    delta = (found.certified or min(found.levels, key=lambda one: one.more)).delta
    bound = upper_bound(failures, accepted, delta)
    n = len(found.calibrate.cases)
    return {"score_limit": limit, "n": n, "accepted": accepted, "failures": failures, "upper_bound": bound}


def _signals(found: Calibration) -> dict[str, list[float]]:
    """Values on the accepted calibration cases, which the monitor compares those of accepted cases to come with."""
    seen, names = found.calibrate, found.score.hinge.names
    accepted = [case for case, score in zip(seen.cases, seen.score, strict=True) if score <= found.unit]
    return {name: [round(case.signals[name], 5) for case in accepted] for name in names}


def _habits(usual: Habits) -> dict[str, dict[str, float]]:
    return {key: {name: round(value, 4) for name, value in asdict(habit).items()} for key, habit in usual.items()}


def _split(judged: Judged, unit: float) -> dict[str, Any]:
    accepted = judged.score <= unit
    return {
        "cases": len(judged.cases),
        "subjects": len({scan.subject for scan in judged.scans}),
        "failures": int(judged.failed.sum()),
        "accepted": int(accepted.sum()),
        "accepted_failures": int((accepted & judged.failed).sum()),
        "failed_or_missed": int(judged.missed.sum()),
        "accepted_failed_or_missed": int((accepted & judged.missed).sum()),
        "cases_sha256": digest(judged),
    }


def digest(judged: Judged) -> str:
    """Of the list of cases, in any order: name, damage with its seed, and the bytes of image and labels of each."""
    return hashlib.sha256("\n".join(sorted(_identity(one.item) for one in judged.cases)).encode()).hexdigest()


def _identity(item: Item) -> str:
    scan, damage = item.scan, item.damage
    files = [file_sha256(path) for path in (scan.t1, scan.labels, scan.lesions) if path is not None]
    return " ".join([scan.name, damage.kind, str(damage.level), str(damage.seed), *files])


def code_version(root: Path = ROOT) -> str:
    """The program's version, and the commit where it runs from a checkout, such as 0.1.0 (1a2b3c4)."""
    if not (root / ".git").exists():
        return __version__
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return f"{__version__} ({commit})"
