"""Docs page `anytime`: could sampling stop as soon as the verdict is settled, and what would that save?

  python -m pipelines.bench.anytime

Few heads first, more only where the score lies near the limit. The margin is twice the largest error of the score of so
few heads on the tune split; the procedure is judged on the test split. Going on is counted as free, so the
saving shown is the most that could be had.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipelines.bench.page import Bench, Inputs, Results, kept, run, table
from pipelines.calibrate import items
from pipelines.engine import SAMPLES, BundleEngine, load_engine
from pipelines.evaluate import describe
from pipelines.labelled import features_folder, kept_copy, labelled
from pipelines.mixture import damaged
from pipelines.run_case import case_seed
from pipelines.scans import read_classes, read_nifti, read_scans
from pipelines.scored import Item, model_digest
from triage.errors import Refusal
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.rules import readings_of

BUDGETS = (16, SAMPLES)
"""So few as 8 would cost more: their mean cannot tell what to hold (`models.predictive.FEW`), so all is sampled."""
TUNED = 11
"""Cases of the tune split: every scan as it is."""
SAFETY = 2.0
SAME_ENOUGH = 0.99
WORTH_IT = 0.15
"""Share of the CPU time of a case that a saving must have to be worth its price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What the procedure would have done with one case. heads: when it stopped."""

    heads: int
    accepted: bool
    accepted_by_all: bool
    cpu_s: float


def measure(inputs: Inputs) -> Results:
    """Signals and CPU seconds of every case at every number of heads."""
    engine = load_engine(inputs.bundle)
    point = read_operating_point(inputs.bundle / FILE)
    model = model_digest(inputs.bundle)
    lists = items([scan for scan in read_scans(inputs.cases, ["tune", "test"]) if scan.labels])
    folder = inputs.cache / "anytime" / model[:12]
    chosen = {"tune": [*lists["clean"], *lists["tune"]][:TUNED], "test": lists["test"]}
    rows = [
        {"split": split} | kept(folder / f"{_name(item)}.json", lambda item=item: _row(item, engine, point, inputs))  # type: ignore[misc]
        for split, some in chosen.items()
        for item in some
    ]
    seen = [row for row in rows if not row["refused"]]
    scores = [{n: _score(row["signals"][str(n)], point) for n in BUDGETS} for row in seen]
    return {
        "bundle": f"{engine.model.name} {engine.model.version}",
        "limit": point.score_limit,
        "cases": [
            {"split": row["split"], "scores": list(found.values()), "cpu_s": [row["cpu_s"][str(n)] for n in BUDGETS]}
            for row, found in zip(seen, scores, strict=True)
        ],
        "network_cpu_s": kept(folder / "network.json", lambda: _network_cpu_s(engine, lists["clean"][0], inputs)),
    }


def _network_cpu_s(engine: BundleEngine, item: Item, inputs: Inputs) -> float:
    (one,) = labelled([item.scan], engine.runner, features_folder(inputs.cache, engine.model.trunk))
    start = time.process_time()
    engine.runner(torch.from_numpy(one.conformed.image))
    return time.process_time() - start


def _name(item: Item) -> str:
    return f"{item.scan.name}.{item.damage.kind}.{item.damage.level}"


def _score(signals: Mapping[str, float | None], point: OperatingPoint) -> float:
    values = {name: float("nan") if value is None else value for name, value in signals.items()}
    return sum(reading.part for reading in readings_of(values, point))


def _row(item: Item, engine: BundleEngine, point: OperatingPoint, inputs: Inputs) -> dict[str, Any]:
    assert item.scan.labels is not None
    volume = damaged(read_nifti(item.scan.t1), read_classes(item.scan.labels)[0], item.damage).volume
    name = f"mixture {item.damage.name}" if item.damage.level else ""
    folder = features_folder(inputs.cache, engine.model.trunk)
    try:
        one = kept_copy(item.scan, name, lambda: volume, engine.runner, folder, seed=item.damage.seed)
    except Refusal:
        return {"refused": True}
    seed = case_seed(0, _name(item), "anytime")
    signals, cpu = {}, {}
    for n in BUDGETS:
        start = time.process_time()
        prediction = replace(engine, samples=n).infer(one.features, one.conformed, volume, seed=seed)
        cpu[str(n)] = time.process_time() - start
        signals[str(n)] = describe(prediction, point.usual_entropy)["signals"]
    return {"refused": False, "signals": signals, "cpu_s": cpu}


def margins(cases: Sequence[Mapping[str, Any]]) -> list[float]:
    """For each budget but the last, SAFETY times the largest error of its score."""
    scores = np.array([case["scores"] for case in cases])
    return [SAFETY * float(np.nanmax(np.abs(column - scores[:, -1]))) for column in scores.T[:-1]]


def stop(case: Mapping[str, Any], limit: float, margin: Sequence[float]) -> Stopped:
    """Stop at the first budget whose score is farther from the limit than its margin."""
    scores = case["scores"]
    settled = (k for k, m in enumerate(margin) if abs(scores[k] - limit) > m)
    k = next(settled, len(scores) - 1)
    return Stopped(
        heads=BUDGETS[k],
        accepted=scores[k] <= limit,
        accepted_by_all=scores[-1] <= limit,
        cpu_s=case["cpu_s"][k],
    )


def write(results: Results, folder: Path) -> str:
    """The page; it has no plots."""
    cases, limit = results["cases"], results["limit"]
    of = {split: [case for case in cases if case["split"] == split] for split in ("tune", "test")}
    margin = margins(of["tune"])
    rows = [_summary(split, [stop(case, limit, margin) for case in some], some, results) for split, some in of.items()]
    same = rows[-1]["same"]
    saved = rows[-1]["saved"]
    listed = ", ".join(f"{m:.3f} at {n}" for n, m in zip(BUDGETS, margin, strict=False))
    header = ["split", "cases", "same verdict", "mean heads", "CPU time saved of network, posterior and prior"]
    shown = [[r["split"], r["n"], f"{r['same']:.1%}", f"{r['heads']:.1f}", f"{r['saved']:.1%}"] for r in rows]
    return f"""# Sampling until the verdict is settled

Bundle {results["bundle"]}. A case is first decided with {BUDGETS[0]} heads of the posterior, and with all {SAMPLES}
only where its score lies within a margin of the gate's limit, {limit:g}. The margin is {SAFETY:g} times the largest
error of that first score on the tune split: {listed}. Cases are those of the gate: tune scans as they are, test
scans by the stated mixture. Certifying with all heads holds for the stopped procedure as long as both give the
same verdicts.

{table(header, shown)}
Fewer than {BUDGETS[0]} heads at first would cost more, not less: so few cannot tell which classes may stay at their
mean (`models.predictive.FEW`), and everything is sampled.

The saving counts nothing for going on, nor the reading of DICOM and the writing of reports. {_verdict(same, saved)}

`python -m pipelines.bench.anytime`
"""


def _summary(
    split: str, stopped: Sequence[Stopped], cases: Sequence[Mapping[str, Any]], results: Results
) -> dict[str, Any]:
    whole = sum(case["cpu_s"][-1] + results["network_cpu_s"] for case in cases)
    return {
        "split": split,
        "n": len(stopped),
        "same": float(np.mean([s.accepted == s.accepted_by_all for s in stopped])),
        "heads": float(np.mean([s.heads for s in stopped])),
        "saved": sum(case["cpu_s"][-1] - s.cpu_s for case, s in zip(cases, stopped, strict=True)) / whole,
    }


def _verdict(same: float, saved: float) -> str:
    whole = f"So every case has all {SAMPLES} heads."
    if same < SAME_ENOUGH:
        return f"Verdicts differ in more than {1 - SAME_ENOUGH:.0%} of the cases. {whole}"
    if saved < WORTH_IT:
        return f"""It is less than
{WORTH_IT:.0%}: the posterior is over the head alone, so its samples are the cheap part of a case already, and
volumes would have intervals from fewer of them. {whole} Members of an ensemble, which would be dear, are not
shipped ([the last block](last_block.md))."""
    return "It is worth having."


BENCH = Bench(name="anytime", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
