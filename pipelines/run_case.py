"""One case, from its files to its verdict: the whole product on one page."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from triage.case import Case, RefusedInput, Series, Volume
from triage.ports import Engine, Gate, Queue, Writer
from triage.verdict import Report, Verdict


class Stage(StrEnum):
    """Where a case is."""

    READ = "read"
    PREDICT = "predict"
    DECIDE = "decide"
    WRITE = "write"
    SETTLE = "settle"


Enter = Callable[[Stage], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every case of a run is worked with.

    seed: base from which each case gets its own. promise: what the gate promises of the cases that it accepts.
    blind: whether an accepted case of this content goes to blind review. alarm: what speaks against the gate, or "".
    """

    read: Callable[[Series], Volume]
    engine: Engine
    gate: Gate
    refuse: Callable[[RefusedInput], Verdict]
    writers: Mapping[str, Writer]
    queue: Queue
    seed: int = 0
    promise: str = ""
    blind: Callable[[str], bool] = lambda _content_sha256: False
    alarm: Callable[[], str] = lambda: ""


def run_case(case: Case, tools: Tools, *, folder: Path, enter: Enter) -> Report:
    """Read, predict, decide; write the report into the folder and settle the decision. Raises what goes wrong."""
    enter(Stage.READ)
    volume = tools.read(case.structural)
    enter(Stage.PREDICT)
    seed = case_seed(tools.seed, case.content_sha256, tools.engine.bundle.digest)
    prediction = tools.engine.predict(volume, seed=seed)
    enter(Stage.DECIDE)
    verdict = tools.gate.decide(case, prediction)
    report = Report(case=case, verdict=verdict, bundle=tools.engine.bundle, volume=volume, prediction=prediction)
    _write_and_settle(report, tools, folder=folder, enter=enter)
    return report


def run_refused(refused: RefusedInput, tools: Tools, *, folder: Path, enter: Enter) -> Report:
    """The same for an input that cannot be decided: it goes to a human with its code."""
    enter(Stage.DECIDE)
    report = Report(case=refused, verdict=tools.refuse(refused), bundle=tools.engine.bundle)
    _write_and_settle(report, tools, folder=folder, enter=enter)
    return report


def case_seed(base: int, content_sha256: str, bundle_digest: str) -> int:
    """Seed of a case in [0, 2^32): the same content under the same bundle draws the same samples, in any order."""
    return int.from_bytes(hashlib.sha256(f"{base}:{content_sha256}:{bundle_digest}".encode()).digest()[:4])


def _write_and_settle(report: Report, tools: Tools, *, folder: Path, enter: Enter) -> None:
    enter(Stage.WRITE)
    for write in tools.writers.values():
        write(report, folder)
    enter(Stage.SETTLE)
    tools.queue.settle(report, blind=tools.blind(report.case.content_sha256))
