"""What the operator sees while a run goes: a bar, the stage of the current case, an estimate of the time left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipelines.outcome import Outcome
from pipelines.run_case import Stage

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
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield Bar(progress)
