"""What the stress page and the page of explanations measure: real labelled scans at every step, and what is no brain.

A row keeps the signals and what would be suggested for each, so that another operating point can judge it again.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.page import Inputs, kept
from pipelines.calibrate import items as scored_items
from pipelines.compare import segmenter_digest
from pipelines.degrade import OTHER_GRID
from pipelines.engine import BundleEngine, load_engine
from pipelines.judged import source_of
from pipelines.kept import number
from pipelines.labelled import features_folder, kept_copy
from pipelines.scans import Scan, read_classes, read_nifti, read_scans
from pipelines.scored import Scored, scorer_of
from pipelines.stress import CLEAN, SEED, Rung, Step, Subject, damaged, refused, rung_of
from triage.case import Case, Volume
from triage.dicom.deid import Pseudonyms
from triage.errors import Refusal
from triage.findings import NOT_ASSESSABLE
from triage.gate.interpretation import GLOBAL_MISFIT, misfit
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.rules import ThresholdGate, named, readings_of, suggest
from triage.gate.signals import SIGNALS, Evidence, shortcomings
from triage.intake import take_inventory
from triage.prediction import Prediction
from triage.verdict import Route

Row = dict[str, Any]
"""rung: a `Rung`. suggestions: by signal. misfit: share of the brain. shortcomings: of the input."""

SCANS = {"malf_1006": "manual labels at 1mm", "ixi_IXI127-HH-1451": "automatic labels at 2mm"}
"""Of the test split, with the source of their labels: stripped; whole head."""
NO_KEY = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Probe:
    """The bundle at work on scans. rows: folder where rows are kept, features: that of the trunk's features."""

    engine: BundleEngine
    gate: ThresholdGate
    rows: Path
    features: Path

    def row(self, subject: Subject, step: Step, predict: Callable[[], Prediction]) -> Row:
        """Measured, or as it was kept."""
        name = f"{subject.case.pseudonym}.{step[0].replace(' ', '_')}.{step[1]}.json"
        return dict(kept(self.rows / name, partial(self._row, subject, step, predict)))

    def _row(self, subject: Subject, step: Step, predict: Callable[[], Prediction]) -> Row:
        try:
            prediction = predict()
        except Refusal as refusal:
            return {"rung": asdict(refused(subject, step, refusal)), "suggestions": {}, "misfit": math.nan}
        evidence = Evidence(prediction=prediction, usual_entropy=self.gate.operating_point.usual_entropy)
        return {
            "rung": asdict(rung_of(subject, step, prediction, self.gate)),
            "suggestions": {name: suggest(name, evidence) for name in SIGNALS},
            "misfit": misfit(evidence) if evidence.brain.any() else math.nan,
            "shortcomings": shortcomings(prediction.quality),
        }

    def of_scan(self, scan: Scan, subject: Subject, step: Step) -> Row:
        """A labelled scan at a step; features of the trunk are taken from the cache where they are."""
        return self.row(subject, step, lambda: self.predict(scan, subject, step))

    def predict(self, scan: Scan, subject: Subject, step: Step) -> Prediction:
        """After the network only the grid of a volume counts, so most damage is not done again where features are."""
        name = f"{step[0]} {step[1]}" if step[1] else ""
        one = kept_copy(scan, name, partial(damaged, subject.volume, step), self.engine.runner, self.features)
        grid = damaged(subject.volume, step) if step[0] in OTHER_GRID else subject.volume
        return self.engine.infer(one.features, one.conformed, grid, seed=SEED)


def open_probe(inputs: Inputs) -> Probe:
    """Rows are kept for these very weights and for what the gate takes for usual; limits make none stale."""
    engine = load_engine(inputs.bundle)
    point = read_operating_point(inputs.bundle / FILE)
    model = engine.model
    classifier = model.classifier.state if model.classifier else {}
    known = [model.density.mean.numpy(), *(weight.numpy() for weight in classifier.values()), point.usual_entropy]
    digest = hashlib.sha256(segmenter_digest(engine).encode() + b"".join(array.tobytes() for array in known))
    return Probe(
        engine=engine,
        gate=ThresholdGate(operating_point=point),
        rows=inputs.cache / "stress" / digest.hexdigest()[:12],
        features=features_folder(inputs.cache, model.trunk),
    )


def scans_of(inputs: Inputs) -> list[tuple[Scan, Subject]]:
    """The scans with their labels as the reference."""
    found = {scan.name: scan for scan in read_scans(inputs.cases, ["test"])}
    if any(source_of(found[name]) != labels for name, labels in SCANS.items()):
        raise ValueError("a scan of the ladder has labels of another source than SCANS says")
    return [(found[name], _subject(found[name])) for name in SCANS]


def as_t1(name: str, volume: Volume, like: Case) -> Subject:
    """A volume of anything, with the header of a scan and no reference."""
    return Subject(case=replace(like, pseudonym=name), volume=volume, classes=np.zeros(volume.array.shape, np.uint8))


def judged(row: Row, point: OperatingPoint) -> Rung:
    """The rung of a row by the score of an operating point: route, reasons and action anew, from the signals measured.

    That an operating point accepts nothing at all, since none could be certified, is for the page to say.
    """
    rung = rung_from(row["rung"])
    if rung.route == Route.REFUSED:
        return rung
    readings = readings_of(rung.signals, point)
    score = sum(reading.part for reading in readings)
    told = named(readings, point, everywhere=row.get("misfit", math.nan) >= GLOBAL_MISFIT)
    inside = () if score <= point.score_limit else tuple(reading.name for reading in told)
    reasons = (*rung.outside, *inside)
    return replace(
        rung,
        score=score,
        limit=point.score_limit,
        route=Route.HUMAN_REVIEW if reasons else Route.ACCEPTED,
        reasons=reasons,
        action=rung.action if rung.outside or not reasons else row["suggestions"][reasons[0]],
    )


def scored(inputs: Inputs, engine: BundleEngine) -> list[Row]:
    """The scans, as they are and damaged, that the gate is tuned and tested on: what `pipelines.calibrate` scored."""
    return [_scored_row(one) for one in scored_subjects(inputs, engine)]


def scored_subjects(inputs: Inputs, engine: BundleEngine) -> Iterator[Scored]:
    """Every subject that the gate is tuned or tested on, see `pipelines.calibrate`."""
    items = scored_items([scan for scan in read_scans(inputs.cases, ("tune", "test")) if scan.labels])
    return scorer_of(inputs.bundle, engine, inputs.cache)([*items["clean"], *items["tune"], *items["test"]])


def _scored_row(one: Scored) -> Row:
    """As a rung, to be judged like the others."""
    outside = (one.refused,) if one.refused else (one.like,) if one.like == NOT_ASSESSABLE.key else ()
    rung = Rung(
        case=one.item.scan.name,
        kind=one.item.damage.kind if one.item.damage.level else CLEAN,
        level=one.item.damage.level,
        route=Route.REFUSED if one.refused else Route.HUMAN_REVIEW,
        score=math.nan,
        limit=math.nan,
        signals=one.signals,
        reasons=outside,
        outside=outside,
        action="",
        dice={},
        volume_ratio={},
    )
    return {"rung": asdict(rung), "suggestions": dict.fromkeys(SIGNALS, "")}


def refuses(point: OperatingPoint) -> str:
    """A sentence for the page where nothing may be accepted."""
    if point.accepts:
        return ""
    return " It accepts nothing, since no limit could be certified; what follows is what its score alone would decide."


def rung_from(written: Mapping[str, Any]) -> Rung:
    """A rung as JSON gives it back, where what is no number is None."""
    numbers = {key: number(written[key]) for key in ("score", "limit")}
    tables = {key: _numbers(written[key]) for key in ("signals", "dice", "volume_ratio")}
    names = {key: tuple(written[key]) for key in ("reasons", "outside")}
    return Rung(**{**written, **numbers, **tables, **names, "route": Route(written["route"])})


def _subject(scan: Scan) -> Subject:
    assert scan.labels is not None
    volume = read_nifti(scan.t1)
    (case,) = take_inventory(scan.t1, pseudonyms=Pseudonyms(key=NO_KEY)).cases
    classes, affine = read_classes(scan.labels)
    if classes.shape != volume.array.shape or not np.allclose(affine, volume.affine, atol=1e-3):
        raise ValueError(f"the labels of {scan.name} are not on its grid")
    return Subject(case=replace(case, pseudonym=scan.name), volume=volume, classes=classes)


def _numbers(written: Mapping[str, float | None]) -> dict[str, float]:
    return {key: number(value) for key, value in written.items()}
