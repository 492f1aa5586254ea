"""What a calibration writes: operating_point.json with its promise in a reader's words, in a copy of the bundle."""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.bundle import METADATA, seal, write_metadata
from pipelines.calibrate import Calibration
from pipelines.failure import DICE, LESION_MM, VOLUME, Habit, Habits
from pipelines.judged import Judged
from pipelines.markdown import table
from pipelines.mixture import in_words as mixture_in_words
from pipelines.population import UNKNOWN
from triage import __version__
from triage.errors import TriageError
from triage.gate.certify import Level, upper_bound
from triage.gate.operating_point import FILE, VERSION, read_operating_point
from triage.gate.score import limits_of

FAILED = f"a structure's Dice is under {DICE} or its volume off by over {VOLUME:.0%}, beyond the habits of the labels"
MISSED = f"a lesion of {LESION_MM:g} mm or more is missed"


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
        raise TriageError(f"{out} exists, and a bundle is never overwritten.", do="Give --out a folder that does not.")
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
        "population": {"weightings": sorted(before.weightings), "youngest_years": before.youngest_years},
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
                "means": FAILED,
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
            "code": __version__,
            "bundle_before": hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest(),
        },
    }


def read_habits(bundle: Path) -> dict[str, Habits]:
    """What counts as failed by a bundle's operating point, by source of labels; nothing where none was calibrated."""
    evaluation = json.loads((bundle / FILE).read_text()).get("evaluation") or {"failed": {"by_labels": {}}}
    sources: Mapping[str, Mapping[str, Any]] = evaluation["failed"]["by_labels"]
    return {source: {key: Habit(**habit) for key, habit in usual.items()} for source, usual in sources.items()}


def promise(found: Calibration, confidence: float) -> str:
    """What is promised, and for whom; a reader of any page sees it."""
    level, n = found.certified, len(found.calibrate.cases)
    if level is None:
        best = min(found.levels, key=lambda one: one.more)
        return (
            f"Nothing is accepted: no limit could be certified. For at most {best.risk:.0%} failed among accepted "
            f"cases, with {confidence:.0%} confidence, {best.more} more accepted calibration cases are needed, none of "
            f"them failed; {best.accepted} of {n} are accepted, and {best.failures} of these failed."
        )
    covered = [group.group for group in found.groups if group.covered and UNKNOWN not in group.group]
    return (
        f"With {confidence:.0%} confidence the measurements of at most {level.risk:.0%} of the accepted cases fail "
        f"({FAILED}): of {n} calibration subjects {level.accepted} were accepted, {level.failures} of these failed. "
        f"That holds for T1 of adults like theirs ({', '.join(covered) or 'no group by itself'}), damaged as often as "
        f"in the stated mixture, and for no other scanners, ages and diseases. {_lesions(found)}"
    )


def _lesions(found: Calibration) -> str:
    """What is promised of lesions; an accepted scan is not thereby free of them."""
    level, judged = found.certified_with_lesions, found.calibrate
    accepted = [c.measured for c, s in zip(judged.cases, judged.score, strict=True) if s <= found.unit and c.measured]
    shown, unseen = sum(m.lesions > 0 for m in accepted), sum(m.missed > 0 for m in accepted)
    seen = f"of {shown} accepted with a lesion {unseen} missed it"
    if level is None:
        return f"Of lesions nothing is promised: {seen}."
    return f"At most {level.risk:.0%} fail or miss a lesion: {seen}."


def in_words(found: Calibration, confidence: float) -> str:
    """What a model owner is told at the end."""
    test, bad = found.test.score <= found.unit, found.test.failed
    lines = [
        level_table([asdict(level) for level in found.levels]),
        "With missed lesions counted as well:\n",
        level_table([asdict(level) for level in found.lesion_levels]),
        group_table([asdict(group) for group in found.groups]),
        f"On the test split {int(test.sum())} of {len(test)} are accepted, {int((test & bad).sum())} of these failed; "
        f"{int((bad & ~test).sum())} of {int(bad.sum())} failures are flagged.",
        promise(found, confidence),
    ]
    return "\n".join(lines)


def level_table(levels: Sequence[Mapping[str, Any]]) -> str:
    """levels: as in `evaluation` of operating_point.json."""

    def outcome(one: Mapping[str, Any]) -> str:
        return "yes" if one["score_limit"] is not None else f"no: {one['more']} more accepted, none of them failed"

    rows = [
        [f"{one['risk']:.0%}", f"{one['delta']:.4g}", one["accepted"], one["failures"], one["bound"], outcome(one)]
        for one in levels
    ]
    return table(["at most failed", "of delta", "accepted", "of these failed", "bound", "certified"], rows)


def group_table(groups: Sequence[Mapping[str, Any]]) -> str:
    """groups: as in `evaluation` of operating_point.json."""

    def outcome(one: Mapping[str, Any]) -> str:
        return "yes" if one["covered"] else ("no" if one["enough"] else "no: too few cases")

    rows = [[*(one[key] for key in ("group", "accepted", "failures", "bound")), outcome(one)] for one in groups]
    return table(["group", "accepted", "of these failed", "bound", "covered"], rows)


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
    """Of the list of cases: scan and damage of each, in any order."""
    names = sorted(f"{one.item.scan.name} {one.item.damage.kind} {one.item.damage.level}" for one in judged.cases)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
