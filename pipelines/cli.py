"""The command `brain-triage`. Each command parses, calls one function, prints, and gives its exit status.

0: all decided. 2: some inputs were refused. 1: the run failed, or was not understood.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

import typer

from pipelines.commands import audit, cases, learning, limits, releases
from triage import NOT_FOR_CLINICAL_USE, __version__
from triage.errors import TriageError


def version() -> int:
    """Print the version."""
    typer.echo(f"brain-triage {__version__}")
    return 0


Commands = Mapping[str, Callable[..., int]]

COMMANDS: Commands = {
    "run": cases.run,
    "queue": cases.queue,
    "review": cases.review,
    "locate": cases.locate,
    "replay": cases.replay,
    "sample": cases.sample,
    "calibrate": limits.calibrate,
    "plan": limits.plan,
    "monitor": limits.monitor,
    "stress": limits.stress,
    "evaluate": learning.evaluate,
    "train": learning.train,
    "retrain": learning.retrain,
    "next": learning.next_,
    "challenge": releases.challenge,
    "promote": releases.promote,
    "rollback": releases.rollback,
    "live": releases.live,
    "version": version,
}
GROUPS: Mapping[str, tuple[str, Commands]] = {
    "audit": (
        "The trail of everything that was decided.",
        {"verify": audit.verify, "live": audit.audit_live, "decided": audit.decided},
    ),
    "track": ("What MLflow keeps.", {"import": learning.import_training}),
}
app = typer.Typer(
    name="brain-triage",
    help=f"Triage of brain MRI, with a human-review queue for every case in doubt. {NOT_FOR_CLINICAL_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # "rich" takes "[default: out]" for markup and does not show it
)
for _name, _command in COMMANDS.items():
    if _command is learning.train:  # has a parser of its own, since it must also run where there is no typer
        _untouched = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command(_name, add_help_option=False, context_settings=_untouched)(_command)
    else:
        app.command(_name)(_command)
for _name, (_help, _commands) in GROUPS.items():
    _group = typer.Typer(help=_help, no_args_is_help=True)
    app.add_typer(_group, name=_name)
    for _inner, _command in _commands.items():
        _group.command(_inner)(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit status. A user sees what, where and what to do, never a traceback."""
    try:
        return app(arguments, standalone_mode=False) or 0
    except TriageError as error:
        complaint = str(error)
    except Exception as error:  # any: a traceback may name a patient
        if (show := getattr(error, "show", None)) is not None:  # a command line that typer does not understand
            show()
            return 1
        complaint = _internal(error)
    typer.secho(f"brain-triage: {complaint}", fg=typer.colors.RED, err=True)
    return 1


def _internal(error: Exception) -> str:
    from pipelines.inbox import where

    return f"Internal error: {type(error).__name__} at {where(error)}. Please report this line; it names no patient."


if __name__ == "__main__":
    sys.exit(main())
