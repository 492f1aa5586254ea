"""Every input of an inbox, each exactly once: the one place that catches.

A case is settled in the queue before its folder appears. Killed between the two, the next run finds a decision without
a whole folder and decides again with the same seed: the queue stays as it is, the folder comes. So no flag is lost.
"""

import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from pipelines.folders import Wanted, partial_folder, publish, whole_folder
from pipelines.outcome import Outcome, outcome_of
from pipelines.run_case import Enter, Stage, Tools, run_case, run_refused
from triage.case import Case, Inventory, RefusedInput
from triage.errors import Code, Refusal
from triage.ports import Writer
from triage.verdict import Report


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.perf_counter)
    _stage: Stage | None = None

    def enter(self, stage: Stage | None) -> None:
        """Close the stage before, begin this one."""
        now = time.perf_counter()
        if self._stage is not None:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a run works. enter: told of every stage that a case, by its pseudonym, enters."""

    tools: Tools
    out: Path
    log: FilteringBoundLogger
    enter: Callable[[str, Stage], None] = lambda _pseudonym, _stage: None

    def wanted(self, item: Case | RefusedInput) -> Wanted:
        """What the folder of an input has to hold in the end."""
        return Wanted(
            pseudonym=item.pseudonym,
            content_sha256=item.content_sha256,
            bundle_digest=self.tools.engine.bundle.digest,
            formats=tuple(self.tools.writers),
        )


def run_inbox(inventory: Inventory, desk: Desk) -> Iterator[Outcome]:
    """Decide every input that is not yet decided under this bundle; yields what came of each, one by one."""
    for item in inputs(inventory):
        outcome = _kept(item, desk) or _decide(item, desk)
        event = "kept" if outcome.kept else "decided"
        desk.log.info(event, pseudonym=item.pseudonym, route=outcome.route, code=outcome.code)
        yield outcome


def inputs(inventory: Inventory) -> tuple[Case | RefusedInput, ...]:
    """What has to be decided, refused inputs first. A copy of a file that lies elsewhere is the same input."""
    items: tuple[Case | RefusedInput, ...] = (*inventory.refused, *inventory.cases)
    found: dict[str, Case | RefusedInput] = {}
    for item in items:
        first = found.setdefault(item.pseudonym, item)
        if first.content_sha256 != item.content_sha256:
            raise ValueError("two inputs of different content have one pseudonym: one would hide the other")
    return tuple(found.values())


def _kept(item: Case | RefusedInput, desk: Desk) -> Outcome | None:
    """What an earlier run made of it, when the queue knows it and its folder is whole."""
    wanted = desk.wanted(item)
    known = desk.tools.queue.is_decided(wanted.content_sha256, wanted.bundle_digest)
    return whole_folder(desk.out, wanted) if known else None


def _decide(item: Case | RefusedInput, desk: Desk) -> Outcome:
    """Decide one input; whatever fails on the way turns it into a refused one."""
    if isinstance(item, RefusedInput):
        return _publish_refused(item, desk)
    try:
        return _published(item, desk, lambda folder, enter: run_case(item, desk.tools, folder=folder, enter=enter))
    except Refusal as refusal:
        refused = _refused(item, refusal.code, refusal.message, refusal.do)
    except Exception as error:  # any: no failure may lose a case
        desk.log.error(  # noqa: TRY400  the message of an exception may name a patient
            "failed", pseudonym=item.pseudonym, error=type(error).__name__, where=where(error)
        )
        refused = _internal(item, error)
    return _publish_refused(refused, desk)


def _publish_refused(item: RefusedInput, desk: Desk) -> Outcome:
    """A refused input reaches the queue even when a format cannot be written; the next run tries that one again."""
    failed: set[str] = set()

    def forgiving(name: str, write: Writer) -> Writer:
        def attempt(report: Report, folder: Path) -> None:
            try:
                write(report, folder)
            except Exception as error:
                failed.add(name)
                kind = type(error).__name__
                desk.log.error("writer_failed", pseudonym=item.pseudonym, format=name, error=kind)  # noqa: TRY400  as above

        return attempt

    tools = replace(desk.tools, writers={name: forgiving(name, write) for name, write in desk.tools.writers.items()})
    return _published(
        item, desk, lambda folder, enter: run_refused(item, tools, folder=folder, enter=enter), failed=failed
    )


def _published(
    item: Case | RefusedInput, desk: Desk, work: Callable[[Path, Enter], Report], *, failed: Collection[str] = ()
) -> Outcome:
    """Do the work in a folder that nobody sees, then show the folder. failed: formats that the work could not write."""
    watch = Stopwatch()

    def enter(stage: Stage) -> None:
        watch.enter(stage)
        desk.enter(item.pseudonym, stage)

    with partial_folder(desk.out, item.pseudonym) as folder:
        report = work(folder, enter)
        watch.enter(None)
        outcome = outcome_of(report, watch.seconds)
        wanted = desk.wanted(item)
        written = tuple(name for name in wanted.formats if name not in failed)
        publish(folder, desk.out, outcome, replace(wanted, formats=written))
    return outcome


def where(error: BaseException) -> str:
    """The lines of code that an error came through, outermost first. Its message and values may name a patient."""
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)


def _refused(case: Case, code: Code, message: str, do: str) -> RefusedInput:
    return RefusedInput(
        pseudonym=case.pseudonym,
        content_sha256=case.content_sha256,
        code=code,
        message=message,
        do=do,
        n_files=len(case.structural.files),
        others=case.others,
    )


def _internal(case: Case, error: Exception) -> RefusedInput:
    return _refused(
        case,
        Code.INTERNAL,
        f"The case could not be finished: {type(error).__name__}.",
        "Read it by hand. The next run tries it again; if that fails too, report the log line of this pseudonym.",
    )
