"""What the operator sees: a bar while the run goes, a table at its end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pipelines.outcome import Outcome, RunResult
from pipelines.run_case import Stage
from triage.verdict import Route

ROUTES = {
    Route.ACCEPTED: ("accepted", "measurements are in the report"),
    Route.HUMAN_REVIEW: ("for human review", "see the reasons in the report"),
    Route.REFUSED: ("refused", "could not be read or decided; see the code in the report"),
}
SAYS = {
    Stage.READ: "reading",
    Stage.PREDICT: "segmenting",
    Stage.DECIDE: "deciding",
    Stage.WRITE: "writing",
    Stage.SETTLE: "settling",
}


class Watch(Protocol):
    """Is told how a run goes."""

    def begin(self, total: int) -> None: ...

    def enter(self, pseudonym: str, stage: Stage) -> None: ...

    def done(self, outcome: Outcome) -> None: ...


class Unwatched:
    """Nobody looks."""

    def begin(self, total: int) -> None:
        """Say nothing."""

    def enter(self, pseudonym: str, stage: Stage) -> None:
        """Say nothing."""

    def done(self, outcome: Outcome) -> None:
        """Say nothing."""


class Bar:
    """A progress bar over all cases with the stage of the current one and an estimate of the time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("looking through the inbox", total=None)

    def begin(self, total: int) -> None:
        """The inbox is known."""
        self._progress.update(self._task, total=total, description="")

    def enter(self, pseudonym: str, stage: Stage) -> None:
        """A case enters a stage."""
        self._progress.update(self._task, description=f"{pseudonym} {SAYS[stage]}")

    def done(self, outcome: Outcome) -> None:
        """A case is decided."""
        self._progress.advance(self._task)


@contextmanager
def watching(*, quiet: bool) -> Iterator[Watch]:
    """A bar on the terminal's error channel, so that results on the other stay clean; nothing when quiet."""
    if quiet:
        yield Unwatched()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress)


def print_summary(result: RunResult, *, out: Path, warnings: tuple[str, ...]) -> None:
    """The table at the end of a run."""
    table = Table(title="Research use only, not a medical device", title_justify="left")
    for heading in ("cases", "", ""):
        table.add_column(heading, justify="right" if heading else "left")
    for route, (name, hint) in ROUTES.items():
        count = result.counts[route]
        table.add_row(str(count), name, hint if count else "")
    console = Console()
    console.print(table)
    kept = len(result.outcomes) - result.decided_now
    console.print(f"{result.decided_now} decided in {result.seconds:.0f} s, {kept} decided before.")
    for reason, count in sorted(result.skipped.items()):
        console.print(f"{count} files left alone: {reason}", markup=False)
    console.print(f"Report: {out / 'index.html'}", markup=False, soft_wrap=True)
    for warning in warnings:
        console.print(f"Warning: {warning}", style="yellow", markup=False)
    if result.cut_short:
        console.print("Interrupted. Decided cases are kept; run again to continue.", style="yellow")


def as_json(result: RunResult, *, out: Path, warnings: tuple[str, ...]) -> str:
    """The same for a program: one JSON object."""
    content: dict[str, Any] = {
        "schema": "brain-triage/run/1",
        "status": "interrupted" if result.cut_short else "finished",
        "exit_status": result.exit_status,
        "counts": result.counts,
        "decided_now": result.decided_now,
        "skipped": dict(result.skipped),
        "seconds": round(result.seconds, 3),
        "bundle": {"name": result.bundle.name, "version": result.bundle.version, "digest": result.bundle.digest},
        "out": str(out),
        "report": str(out / "index.html"),
        "warnings": list(warnings),
        "cases": [{**outcome.as_json(), "kept": outcome.kept} for outcome in result.outcomes],
    }
    return json.dumps(content, indent=1, allow_nan=False)
