"""What one model makes of single cases, as a comparison needs it: the frozen test set, and decided cases in shadow."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.compare import GRADED, Grades, grade, predictive, sampled_case
from pipelines.comparison import Shadowed
from pipelines.engine import BundleEngine
from pipelines.evaluate import SEED, dice_table
from pipelines.folders import replace_file
from pipelines.frozen import scan_digest
from pipelines.labelled import Labelled, features_folder, labelled
from pipelines.metrics import BINS, dice
from pipelines.outcome import plain
from pipelines.paired import Examined
from pipelines.posterior_grades import heads
from pipelines.run_case import case_seed
from pipelines.scans import Scan, read_classes, read_nifti
from triage.case import Case, Format, Series, SourceFile, Volume, Weighting
from triage.ports import Engine, Gate
from triage.report.as_json import REPORT
from triage.report.as_nifti import IMAGE, SEGMENTATION
from triage.verdict import Route

NORMAL = "normal"
AGES = {"under 40": 40.0, "40 to 59": 60.0, "60 and over": math.inf}
"""Age band -> the age at which the next one begins, years."""
THICK_MM = 1.5


def examine(scan: Scan, engine: BundleEngine, gate: Gate, cache: Path, key: str) -> Examined:
    """A scan of the test set under one model. key: names the model; what it made of this very scan is kept under it.

    cache: folder for what takes long; features of the same trunk are computed once for all models.
    """
    file = kept_file(scan, cache, key)
    if not file.is_file():
        (one,) = labelled([scan], engine.runner, features_folder(cache, engine.model.trunk))
        _keep(_examine(one, engine, gate), file)
    return _from_json(json.loads(file.read_text()))


def kept_file(scan: Scan, cache: Path, key: str) -> Path:
    """Where it is kept what a model made of a scan; another image and other labels make another file."""
    return cache / "examined" / key / f"{scan.name}-{scan_digest(scan)[:16]}.json"


def shadow(
    folder: Path, engine: Engine, gate: Gate, *, seed: int, rejected: bool, learnt: Callable[[str], bool]
) -> tuple[Examined, Examined, Shadowed]:
    """A decided case as the live model left it in its folder, what the challenger makes of it, and what that changes.

    seed: base of the case's own. rejected: by a reader, so that to accept it is no gain. learnt: whether one of the two
    models has learnt from a content.
    """
    report = json.loads((folder / REPORT).read_text())
    volume, facts, verdict = read_nifti(folder / IMAGE), report["case"]["input"], report["verdict"]
    age, name = facts["age_years"], report["case"]["pseudonym"]
    subject = report["case"]["subject"] or name
    case = _case(name, volume, age, weighting=Weighting(facts["weighting"]), contrast_agent=facts["contrast_agent"])
    before = read_nifti(folder / SEGMENTATION).array
    own = case_seed(seed, report["case"]["content_sha256"], engine.bundle.digest)
    prediction = engine.predict(volume, seed=own)
    now = gate.decide(case, prediction)
    groups = {"source": "in shadow"} | _bands(volume, age)

    def seen(score: float, route: Route) -> Examined:
        accepted = None if rejected else route is Route.ACCEPTED
        return Examined(
            case=name, subject=subject, groups=groups, dice=math.nan, counts=None, score=score, accepted=accepted
        )

    route = Route(verdict["route"])
    changed = Shadowed(
        pseudonym=name,
        live_accepts=route is Route.ACCEPTED,
        challenger_accepts=now.route is Route.ACCEPTED,
        rejected=rejected,
        agreement=agreement(prediction.scanner_labels, before),
        trained_on=learnt(report["case"]["content_sha256"]),
    )
    return seen(math.nan if verdict["score"] is None else verdict["score"], route), seen(now.score, now.route), changed


def agreement(labels: NDArray[Any], others: NDArray[Any]) -> float:
    """Mean Dice over the graded structures of two segmentations on one grid; NaN when the other has none of them."""
    found = [dice(labels == number, others == number) for number in GRADED.values()]
    return float(np.nanmean(found)) if not np.isnan(found).all() else math.nan


def _examine(one: Labelled, engine: BundleEngine, gate: Gate) -> Examined:
    scan, volume = one.scan, read_nifti(one.scan.t1)
    anatomy = engine.find_anatomy(one.features, one.conformed)
    prediction = engine.infer(one.features, one.conformed, volume, seed=SEED, anatomy=anatomy)
    verdict = gate.decide(_case(scan.name, volume, scan.age_years), prediction)
    source, mean_dice, counts = "no labels", math.nan, None
    if scan.labels is not None:
        source = "manual labels" if scan.manual else "automatic labels"
        found = dice_table(prediction.scanner_labels, read_classes(scan.labels)[0])
        mean_dice = float(np.nanmean([found[key] for key in GRADED]))
        sampled = sampled_case(one, engine, anatomy=anatomy)
        p = predictive(sampled, heads(engine.model.posterior), temperature=engine.model.temperature)
        counts = _coarse(grade(sampled, p))
    return Examined(
        case=scan.name,
        subject=scan.subject or scan.name,
        groups={"source": source, "finding": scan.finding} | _bands(volume, scan.age_years),
        dice=mean_dice,
        counts=counts,
        score=verdict.score,
        accepted=verdict.route is Route.ACCEPTED if scan.finding.startswith(NORMAL) else None,
    )


def _coarse(grades: Grades) -> NDArray[np.float64]:
    """Calibration counts in each structure's boundary band, (G, BINS, 3)."""
    return np.asarray(grades.band.reshape(len(GRADED), BINS, -1, 3).sum(axis=2))


def _case(
    name: str,
    volume: Volume,
    age_years: float | None,
    *,
    weighting: Weighting = Weighting.T1,
    contrast_agent: bool = False,
) -> Case:
    """The case as far as the gate asks: what it was decided by lies in no file of ours."""
    x, y, z = volume.array.shape
    series = Series(
        uid=name,
        pseudonym=name,
        format=Format.NIFTI,
        files=(SourceFile(path=Path(IMAGE), sha256=""),),
        shape=(x, y, z),
        spacing_mm=volume.spacing_mm,
        weighting=weighting,
        contrast_agent=contrast_agent,
        age_years=age_years,
    )
    return Case(pseudonym=name, content_sha256="", structural=series)


def _bands(volume: Volume, age_years: float | None) -> dict[str, str]:
    thin = max(volume.spacing_mm) <= THICK_MM
    age = "unknown" if age_years is None else next(name for name, end in AGES.items() if age_years < end)
    return {"voxels": f"{'up to' if thin else 'over'} {THICK_MM} mm", "age": age}


def _keep(one: Examined, file: Path) -> None:
    def write(path: Path) -> None:
        path.write_text(json.dumps(_as_json(one), allow_nan=False))

    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, write)


def _as_json(one: Examined) -> dict[str, Any]:
    counts = None if one.counts is None else one.counts.tolist()
    return asdict(one) | {"counts": counts, "dice": plain(one.dice), "score": plain(one.score)}


def _from_json(kept: dict[str, Any]) -> Examined:
    counts = None if kept["counts"] is None else np.array(kept["counts"])
    return Examined(**kept | {"counts": counts, "dice": float(kept["dice"]), "score": float(kept["score"])})
