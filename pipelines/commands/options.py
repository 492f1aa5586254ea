"""What several commands share: their options, the installation that they name, and what they say on the side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triage.errors import TriageError

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from triage.review import ReviewQueue

Config = Annotated[Path | None, typer.Option("--config", help="YAML file that names what differs from the defaults.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the results.  [default: out]")]
State = Annotated[
    Path | None, typer.Option("--state", help="Folder of queue, tracking, key and log.  [default: beside --out]")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def review_queue(out: Path | None, state: Path | None, config: Path | None) -> "ReviewQueue":
    """The review queue of an installation that has one."""
    from triage.review import open_queue

    return open_queue(reviewed(out, state, config).review_database)


def reviewed(out: Path | None, state: Path | None, config: Path | None) -> "Settings":
    """The settings of an installation that has a review queue."""
    from pipelines.settings import load_settings

    settings = load_settings(config).changed({"out": out, "state": state})
    if settings.review_url is None and not settings.review_file.is_file():
        raise TriageError(
            f"There is no review queue at {settings.review_file}.",
            do="Run `brain-triage run` first, or name its folders with --out or --state.",
        )
    return settings


def note(message: str) -> None:
    """What is being done, on standard error."""
    typer.echo(message, err=True)


def warn(message: str) -> None:
    """What went wrong without stopping the command, on standard error."""
    typer.secho(f"brain-triage: {message}", fg=typer.colors.YELLOW, err=True)
