"""One run over an inbox: opens what the cases are worked with, works through them, closes with the pages of the run."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from pipelines.bundles import bundle_in_use, has_learnt, keep, open_history
from pipelines.folders import locked, replace_file, unwritable
from pipelines.inbox import Desk, inputs, run_inbox, where
from pipelines.logs import open_log, quiet_libraries
from pipelines.monitor import drawn_blind, watch
from pipelines.outcome import Outcome, RunResult
from pipelines.progress import Watch
from pipelines.promises import read_promises
from pipelines.run_case import Tools
from pipelines.settings import Settings
from pipelines.tracking import TrackedRun, run_params, run_tags
from pipelines.tracking_store import run_store
from triage.case import Inventory
from triage.errors import TriageError
from triage.ports import Writer
from triage.review import ReviewQueue, open_queue

INDEX = "index.html"
TABLE = "cases.csv"


def gather_tools(settings: Settings, queue: ReviewQueue) -> Tools:
    """The product as it is shipped: engine and watched gate of the bundle in use, the writers asked for."""
    if settings.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)  # read when torch loads, which is below
    from pipelines.engine import load_engine
    from triage.dicom.deid import load_or_create_key
    from triage.gate.monitored import MonitoredGate, alarm
    from triage.gate.rules import load_gate, refuse
    from triage.intake import read_volume
    from triage.report import WRITERS

    with open_history(settings) as history:
        bundle = bundle_in_use(settings, history.live())
    engine, gate = load_engine(bundle, device=settings.device), load_gate(bundle)
    keep(bundle, settings)  # its decisions can be replayed when the program has come with another one
    watched = watch(queue.engine, engine.bundle, read_promises(bundle), tuple(gate.operating_point.limits))
    return Tools(
        read=partial(read_volume, limits=settings.limits),
        engine=engine,
        gate=MonitoredGate(gate=gate, monitor=watched.monitor, seen=set(watched.observed.cases)),
        refuse=refuse,
        writers=chosen_writers(WRITERS, settings.writers),
        queue=queue,
        seed=settings.seed,
        promise=gate.promise,
        blind=drawn_blind(load_or_create_key(settings.pseudonym_key), settings.blind_review, has_learnt(bundle)),
        alarm=partial(alarm, watched.monitor),
    )


def find_cases(inbox: Path, settings: Settings) -> Inventory:
    """What lies in an inbox, under pseudonyms."""
    from triage.dicom.deid import Pseudonyms, load_or_create_key
    from triage.intake import take_inventory

    pseudonyms = Pseudonyms(key=load_or_create_key(settings.pseudonym_key))
    return take_inventory(inbox, pseudonyms=pseudonyms, limits=settings.limits)


def chosen_writers(writers: Mapping[str, Writer], names: Sequence[str] | None) -> Mapping[str, Writer]:
    """The writers of the formats asked for; all when none is named. report.json is always among them."""
    unknown = sorted(set(names or ()) - set(writers))
    if unknown:
        raise TriageError(
            f"There is no output format {', '.join(unknown)}.", do=f"Known formats: {', '.join(writers)}."
        )
    return {name: write for name, write in writers.items() if names is None or name in {*names, "json"}}


def run(
    inbox: Path,
    settings: Settings,
    watch: Watch,
    *,
    gather: Callable[[Settings, ReviewQueue], Tools] = gather_tools,
    find: Callable[[Path, Settings], Inventory] = find_cases,
) -> RunResult:
    """Decide every case of an inbox. Raises TriageError when the run itself cannot go on."""
    _check_places(inbox, settings)
    with (
        locked(settings.out),
        open_log(settings.log) as log,
        quiet_libraries(),
        closing(open_queue(settings.review_database)) as queue,
    ):
        tools = gather(settings, queue)
        desk = Desk(tools=tools, out=settings.out, log=log, enter=watch.enter)
        with _recorded(settings, tools, log) as tracked:
            inventory = find(inbox, settings)
            _check_found(inventory)
            try:
                result = _work_through(inventory, desk, watch)
                index = _write_pages(result, settings, tools)
            except OSError as error:
                raise unwritable(settings.out, error) from error
            if tracked is not None:
                files = (index,) if settings.tracking.report else ()
                tracked.finish("KILLED" if result.cut_short else "FINISHED", result, files)
        warnings = tuple(filter(None, (tools.alarm(), tracked.warning if tracked else "")))
        log.info("run_ended", audit_head=queue.audit_head(), warnings=warnings, **result.counts)
    return replace(result, warnings=warnings)


def _check_found(inventory: Inventory) -> None:
    """An inbox without a case is a mistake of its address, not a run that went well."""
    if inventory.cases or inventory.refused:
        return
    left = "; ".join(f"{reason}: {count}" for reason, count in inventory.skipped.items()) or "nothing"
    raise TriageError(
        f"The inbox holds no case. Left alone: {left}.", do="Give the folder that holds the MR images, DICOM or NIfTI."
    )


def _work_through(inventory: Inventory, desk: Desk, watch: Watch) -> RunResult:
    """Every input once; Ctrl-C ends it after what is decided so far."""
    started = time.perf_counter()
    outcomes: list[Outcome] = []
    cut_short = False
    watch.begin(len(inputs(inventory)))
    try:
        for outcome in run_inbox(inventory, desk):
            outcomes.append(outcome)
            watch.done(outcome)
    except KeyboardInterrupt:
        cut_short = True
    return RunResult(
        bundle=desk.tools.engine.bundle,
        outcomes=tuple(outcomes),
        skipped=inventory.skipped,
        seconds=time.perf_counter() - started,
        cut_short=cut_short,
    )


def _write_pages(result: RunResult, settings: Settings, tools: Tools) -> Path:
    """index.html and cases.csv over all that lies in the output folder; gives the first."""
    from triage.report.as_csv import write_cases_csv
    from triage.report.as_html import write_index
    from triage.report.summary import RunSummary, load_cases

    cases, unreadable = load_cases(settings.out)
    summary = RunSummary(
        finished=datetime.now(UTC),
        bundle=result.bundle,
        promise=tools.promise,
        alarm=tools.alarm(),
        seconds=result.seconds,
        cases=cases,
        unreadable=unreadable,
        cut_short=result.cut_short,
        skipped=result.skipped,
        settings=run_params(settings),
    )
    index, table = settings.out / INDEX, settings.out / TABLE
    replace_file(index, partial(write_index, summary))
    replace_file(table, partial(write_cases_csv, cases))
    return index


@contextmanager
def _recorded(settings: Settings, tools: Tools, log: FilteringBoundLogger) -> Iterator[TrackedRun | None]:
    """The run in the log and, if it is asked for, in MLflow; both say so when it fails."""
    bundle = tools.engine.bundle
    log.info("run_started", bundle=bundle.name, version=bundle.version, digest=bundle.digest)
    tracked = TrackedRun(run_store(settings)) if settings.tracking.on else None
    if tracked is not None:
        tracked.start(params=run_params(settings), tags=run_tags(bundle))
    try:
        yield tracked
    except BaseException as error:
        log.error("run_failed", error=type(error).__name__, where=where(error))  # noqa: TRY400  no message, no values
        if tracked is not None:
            tracked.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise


def _check_places(inbox: Path, settings: Settings) -> None:
    """The inbox is there, and what a run writes does not lie in it: the next run would take it for patients."""
    if not inbox.exists():
        raise TriageError("The inbox does not exist.", do="Give the folder that holds the MR images, DICOM or NIfTI.")
    for name, option, place in (("output", "--out", settings.out), ("state", "--state", settings.state_folder)):
        if place.resolve().is_relative_to(inbox.resolve()):
            raise TriageError(f"The {name} folder lies in the inbox.", do=f"Give one outside it with {option}.")
