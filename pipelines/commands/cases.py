"""Commands on cases: decide them, list what waits, review, look back."""

import signal
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import AsJson, Config, Out, State, review_queue, reviewed
from triage.errors import TriageError


def run(
    inbox: Annotated[Path, typer.Argument(help="Folder of DICOM or NIfTI files.")],
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model.  [default: the live one]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.  [default: auto]")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.  [default: all cores]")] = None,
    writer: Annotated[list[str] | None, typer.Option(help="Output format; repeat for more.  [default: all]")] = None,
    no_tracking: Annotated[bool, typer.Option("--no-tracking", help="Keep the run out of MLflow.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors and warnings only.")] = False,
    as_json: AsJson = False,
) -> int:
    """Triage every case of a folder. Run it again to continue, or to add what is new."""
    from pipelines.console import show_run
    from pipelines.progress import watching
    from pipelines.run import run as run_inbox
    from pipelines.settings import load_settings

    settings = load_settings(config).changed(
        {
            "out": out,
            "state": state,
            "bundle": bundle,
            "device": device,
            "threads": threads,
            "writers": writer,
            "tracking": {"on": False} if no_tracking else None,
        }
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a stopped container ends as cleanly as Ctrl-C
    try:
        with watching(quiet=quiet or as_json) as watch:
            result = run_inbox(inbox, settings, watch)
    except KeyboardInterrupt:
        raise TriageError("Interrupted.", do="Decided cases are kept; run again to continue.") from None
    show_run(result, settings.out, quiet=quiet, as_json=as_json)
    return result.exit_status


def queue(out: Out = None, state: State = None, config: Config = None, as_json: AsJson = False) -> int:
    """List the cases that wait for a human, most doubtful first."""
    from pipelines.console import show_queue

    with closing(review_queue(out, state, config)) as review:
        show_queue(review.open_items(), as_json=as_json)
    return 0


def review(
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8765,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate of the server, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond this machine without TLS.")] = False,
    double: Annotated[bool, typer.Option("--double", help="Two readers a case; a third where they differ.")] = False,
) -> int:
    """Serve the review pages: look at flagged cases, correct them, decide."""
    from pipelines.review import Binding, serve

    binding = Binding(host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, insecure=insecure)
    serve(reviewed(out, state, config), binding, double=double, say=typer.echo)
    return 0


def locate(
    pseudonym: Annotated[str, typer.Argument(help="As in the report, bt-...")],
    inbox: Annotated[Path, typer.Argument(help="Folder to look in.")],
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
) -> int:
    """Print the folder of a case in an inbox. Only the key in the state folder can undo a pseudonym."""
    from pipelines.run import find_cases
    from pipelines.settings import load_settings

    settings = load_settings(config).changed({"out": out, "state": state})
    if not settings.pseudonym_key.is_file():
        raise TriageError("There is no key of pseudonyms.", do="Name the run's folders with --out or --state.")
    for case in find_cases(inbox, settings).cases:
        if case.pseudonym == pseudonym:
            typer.echo(case.structural.files[0].path.parent)
            return 0
    raise TriageError(
        "No readable case of that pseudonym lies in this inbox.",
        do="Check the inbox and the state folder; what was refused cannot be located, since it was never a case.",
    )


def replay(
    pseudonym: Annotated[str, typer.Argument(help="As in the report, bt-...")],
    inbox: Annotated[Path, typer.Argument(help="Folder that its files lie in.")],
    *,
    bundle: Annotated[str, typer.Option(help="Beginning of its digest, where not the latest.")] = "",
    out: Out = None,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Decide a case again under the bundle that decided it, and compare bit by bit; ends with 1 when it differs."""
    from pipelines.console import show_replay
    from pipelines.replay import replay as decide_again

    found = decide_again(pseudonym, inbox, reviewed(out, state, config), bundle=bundle)
    show_replay(found, as_json=as_json)
    return 1 if found.differs else 0


def sample(folder: Annotated[Path, typer.Argument(help="Folder to make.")]) -> int:
    """Make a sample inbox of made-up patients."""
    from pipelines.sample import make_sample_inbox

    typer.echo(f"Sample inbox: {make_sample_inbox(folder)}")
    return 0
