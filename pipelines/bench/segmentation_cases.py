"""Does the score of a case know its Dice? The gate's own score beside single signals, on clean and damaged scans."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipelines.bench.doubt_cases import NO_BRAIN, SHIPPED, measured
from pipelines.bench.page import Inputs
from pipelines.bench.stress import STEPS
from pipelines.bench.stress_rows import judged, open_probe, scans_of, scored_subjects
from pipelines.compare import GRADED
from pipelines.engine import BundleEngine
from pipelines.scored import Scored
from pipelines.stress import CLEAN
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.rules import readings_of

GATE, ENTROPY, CONFLICT = "gate", "entropy", "conflict"
"""The sum over all signals, the mean predictive entropy of the brain, and the conflict of prior and image."""

Row = dict[str, Any]
"""case, split, kind, level; dice: mean over structures; scores: by name, NaN for what was not measured."""


def measure_cases(inputs: Inputs, engine: BundleEngine) -> Mapping[str, list[Row]]:
    """subjects: of tune and test, few copies of many. ladder: many copies of two. doubt: those of the page of doubt."""
    return {
        "subjects": list(_subjects(inputs, engine)),
        "ladder": list(_ladder(inputs)),
        "doubt": [_doubt_row(row) for row in measured(inputs) if row.get("dice") and row["kind"] != NO_BRAIN],
    }


def gate_score(signals: Mapping[str, float], point: OperatingPoint) -> float:
    """Sum of the signals' parts; infinite where one is no number, which never passes the gate."""
    total = sum(reading.part for reading in readings_of(signals, point))
    return math.inf if math.isnan(total) else total


def _subjects(inputs: Inputs, engine: BundleEngine) -> Iterator[Row]:
    """What the gate was tuned on and is tested on, see `pipelines.calibrate`."""
    point = read_operating_point(inputs.bundle / FILE)
    return (_row(one, point) for one in scored_subjects(inputs, engine) if one.measured)


def _row(one: Scored, point: OperatingPoint) -> Row:
    assert one.measured is not None
    damage = one.item.damage
    return {
        "case": one.item.scan.subject,
        "split": one.item.scan.split,
        "kind": damage.kind if damage.level else CLEAN,
        "level": damage.level,
        "dice": _mean(one.measured.dice),
        "scores": {
            GATE: gate_score(one.signals, point),
            ENTROPY: one.baselines["entropy_brain"],
            CONFLICT: one.signals["prior_conflict"],
        },
    }


def _ladder(inputs: Inputs) -> Iterator[Row]:
    """Every step of the stress ladder."""
    probe, point = open_probe(inputs), read_operating_point(inputs.bundle / FILE)
    rows = (probe.of_scan(scan, subject, step) for scan, subject in scans_of(inputs) for step in [(CLEAN, 0), *STEPS])
    for rung in (judged(row, point) for row in rows):
        if rung.dice:
            scores = {GATE: gate_score(rung.signals, point), CONFLICT: rung.signals["prior_conflict"]}
            about = {"case": rung.case, "split": "test", "kind": rung.kind, "level": rung.level}
            yield about | {"dice": _mean(rung.dice), "scores": scores}


def _doubt_row(row: Mapping[str, Any]) -> Row:
    about = {key: row[key] for key in ("case", "split", "kind", "level")}
    scores = {ENTROPY: row["predictors"][SHIPPED]["entropy"], CONFLICT: row["conflict"]}
    return about | {"dice": _mean(row["dice"]), "scores": scores}


def _mean(dice: Mapping[str, float | None]) -> float:
    return float(np.mean([dice[key] for key in GRADED]))
