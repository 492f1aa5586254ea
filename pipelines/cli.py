"""The command `brain-triage`. Each command parses, calls one function, prints, and gives its exit status.

0: all decided. 2: some inputs were refused. 1: the run failed, or was not understood.
"""

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from triage import NOT_FOR_CLINICAL_USE, __version__
from triage.errors import TriageError

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.train import Watch
    from triage.review import ReviewQueue

app = typer.Typer(
    name="brain-triage",
    help=f"Triage of brain MRI, with a human-review queue for every case in doubt. {NOT_FOR_CLINICAL_USE}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
audit_commands = typer.Typer(help="The trail of everything that was decided.", no_args_is_help=True)
app.add_typer(audit_commands, name="audit")
track_commands = typer.Typer(help="What MLflow keeps.", no_args_is_help=True)
app.add_typer(track_commands, name="track")

Config = Annotated[Path | None, typer.Option("--config", help="YAML file that names what differs from the defaults.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the results.  [default: out]")]
State = Annotated[
    Path | None, typer.Option("--state", help="Folder of queue, tracking, key and log.  [default: beside --out]")
]
Challenger = Annotated[str, typer.Argument(help="Folder of a bundle, or the id of a retraining in MLflow.")]
Because = Annotated[str | None, typer.Option(help="Why; it is recorded. With it, a challenger that lost may go live.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command()
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


@app.command()
def queue(out: Out = None, state: State = None, config: Config = None, as_json: AsJson = False) -> int:
    """List the cases that wait for a human, most doubtful first."""
    from pipelines.console import show_queue

    with closing(_review_queue(out, state, config)) as review:
        show_queue(review.open_items(), as_json=as_json)
    return 0


@app.command()
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
    serve(_reviewed(out, state, config), binding, double=double, say=typer.echo)
    return 0


@app.command()
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


@audit_commands.command()
def verify(out: Out = None, state: State = None, config: Config = None, as_json: AsJson = False) -> int:
    """Check that no row of the audit trail was edited, deleted or moved."""
    from pipelines.console import show_audit

    with closing(_review_queue(out, state, config)) as review:
        audit = review.verify_audit()
    show_audit(audit, as_json=as_json)
    return 1 if audit.broken else 0


@audit_commands.command("live")
def audit_live(
    at: Annotated[datetime, typer.Option(help="Date, or date and time, in UTC.")],
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Say which model was live at a moment."""
    from pipelines.console import show_live_at
    from triage.review import History

    moment = at.replace(tzinfo=UTC)
    with closing(_review_queue(out, state, config)) as review:
        show_live_at(moment, History(review.engine).live_at(moment), as_json=as_json)
    return 0


@audit_commands.command()
def decided(
    bundle: Annotated[str, typer.Option(help="Digest of the bundle, or at least 8 characters of its beginning.")],
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """List every case that a bundle decided."""
    from pipelines.console import show_decided
    from triage.review import History

    with closing(_review_queue(out, state, config)) as review:
        show_decided(History(review.engine).decided_by(bundle), as_json=as_json)
    return 0


@app.command()
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

    found = decide_again(pseudonym, inbox, _reviewed(out, state, config), bundle=bundle)
    show_replay(found, as_json=as_json)
    return 1 if found.differs else 0


@app.command()
def sample(folder: Annotated[Path, typer.Argument(help="Folder to make.")]) -> int:
    """Make a sample inbox of made-up patients."""
    from pipelines.sample import make_sample_inbox

    typer.echo(f"Sample inbox: {make_sample_inbox(folder)}")
    return 0


@app.command()
def stress(
    inbox: Annotated[Path, typer.Argument(help="A scan, or a folder of them: DICOM or NIfTI.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for table and figure.")] = Path("stress"),
    kinds: Annotated[str | None, typer.Option(help="Kinds of damage, with commas between.  [default: all]")] = None,
    levels: Annotated[str, typer.Option(help="Levels of damage, with commas between.")] = "1,2,3,4,5",
    labels: Annotated[
        Path | None, typer.Option(help="Labels of the one scan, NIfTI, in this program's classes.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model.  [default: the shipped one]")] = None,
    state: State = None,
    config: Config = None,
) -> int:
    """Damage your own scans step by step, and see whether doubt and flags rise before the segmentation fails."""
    from pipelines.settings import load_settings
    from pipelines.stress import in_words, read_steps
    from pipelines.stress import stress as climb
    from pipelines.stress_page import write_ladder

    settings = load_settings(config).changed({"out": out, "state": state, "bundle": bundle})
    rungs = climb(inbox, settings, read_steps(kinds, levels), labels=labels, tell=lambda r: typer.echo(in_words(r)))
    typer.echo(f"Stress ladder: {write_ladder(rungs, out, labelled=labels is not None)}")
    return 0


@app.command()
def evaluate(
    *,
    cases: Annotated[Path, typer.Option(help="Table of labelled scans: case, split, finding, t1, label, ...")],
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model.  [default: the shipped one]")] = None,
    splits: Annotated[str, typer.Option(help="Splits of the table, with commas between.")] = "tune",
    posteriors: Annotated[Path | None, typer.Option(help="Compare the posteriors fitted into this folder.")] = None,
    damage: Annotated[list[str] | None, typer.Option(help="Kinds of damaged copies that are compared too.")] = None,
    cache: Annotated[Path, typer.Option(help="Folder for what takes long.")] = Path("out/bench"),
    out: Annotated[Path | None, typer.Option(help="File for all figures, JSON.")] = None,
) -> int:
    """Measure a model on labelled scans, or all posteriors of its head side by side."""
    from pipelines.engine import load_engine
    from pipelines.evaluate import as_text
    from pipelines.evaluate import evaluate as evaluate_scans
    from pipelines.labelled import damaged, features_folder, labelled
    from pipelines.posterior_table import as_table, compare_posteriors, read_posteriors
    from pipelines.scans import read_scans
    from pipelines.settings import SHIPPED_BUNDLE

    rows: Any
    engine = load_engine(bundle or SHIPPED_BUNDLE)
    features = features_folder(cache, engine.model.trunk)
    scans = read_scans(cases, splits.split(","))
    if posteriors is None:
        rows = list(evaluate_scans(scans, engine, features))
        typer.echo(as_text(rows))
    else:
        drawn = [scan for scan in scans if scan.labels is not None]
        clean = labelled(drawn, engine.runner, features)
        worse = damaged(drawn, damage or (), engine.runner, features)
        rows = compare_posteriors(read_posteriors(posteriors), engine, clean, worse, cache)
        typer.echo(as_table(rows))
    if out is not None:
        out.write_text(json.dumps(rows, indent=1))
    return 0


@app.command()
def calibrate(
    *,
    cases: Annotated[Path, typer.Option(help="Table of labelled scans: case, subject, split, t1, label, ...")],
    bundle: Annotated[Path, typer.Option(help="Folder of the model.")],
    out: Annotated[Path, typer.Option(help="Folder for the bundle with the new operating point; must not exist.")],
    risk: Annotated[list[float] | None, typer.Option(help="Share of accepted cases that may fail; repeatable.")] = None,
    lesion_risk: Annotated[list[float] | None, typer.Option(help="The same, with missed lesions counted too.")] = None,
    confidence: Annotated[float, typer.Option(help="Of all certified risks together.")] = 0.95,
    whatever_holds: Annotated[bool, typer.Option(help="If all are refused, promise the risk that holds.")] = False,
    cache: Annotated[Path, typer.Option(help="Folder for what takes long; it is continued there.")] = Path("out/bench"),
    state: State = None,
    config: Config = None,
) -> int:
    """Set the limit of the gate from labelled scans, certified, or refused with how many more cases it takes."""
    from pipelines.calibrate import calibrate as calibrate_gate
    from pipelines.certificate import fresh, in_words, write_bundle
    from pipelines.retrain_corrections import open_ledger
    from pipelines.settings import load_settings

    fresh(out)  # said before the hours that scoring takes
    ledger = open_ledger(load_settings(config).changed({"state": state}))
    found = calibrate_gate(
        cases=cases,
        bundle=bundle,
        risks=risk or [0.05],
        lesion_risks=lesion_risk or [],
        confidence=confidence,
        whatever_holds=whatever_holds,
        ledger=ledger,
        cache=cache,
        say=_note,
    )
    write_bundle(found, bundle, out, confidence)
    typer.echo(in_words(found, confidence))
    return 0 if found.certified else 2


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(context: typer.Context) -> int:
    """Train a network on images synthesised from label maps; `brain-triage train --help` lists the options."""
    from pipelines.settings import load_settings
    from pipelines.tracking import follow_training, training_store
    from pipelines.train import main as run_training

    def follow(out: Path) -> "Watch":
        return follow_training(training_store(load_settings().changed({"out": out})), _warn)

    try:
        typer.echo(f"Trained: {run_training(context.args, follow)}")
    except SystemExit as stopped:  # its parser has said what was not understood
        return 1 if stopped.code else 0
    return 0


@app.command()
def retrain(
    *,
    to: Annotated[Path, typer.Option(help="Folder for the new bundle.")],
    out: Out = None,
    state: State = None,
    config: Config = None,
    bundle: Annotated[Path | None, typer.Option(help="Bundle to start from.  [default: the live one]")] = None,
    cases: Annotated[Path | None, typer.Option(help="Labelled scans: temperature, prior and gate are fitted.")] = None,
    label_maps: Annotated[Path | None, typer.Option(help="To synthesise from.  [default: what came along]")] = None,
    lesion_masks: Annotated[Path | None, typer.Option(help="Folder of lesion masks in MNI space.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Fine-tune the whole network first.")] = False,
    iterations: Annotated[int, typer.Option(help="Of the fine-tuning.")] = 2000,
    shape: Annotated[tuple[int, int, int], typer.Option(help="Its field of view, mm.")] = (160, 192, 160),
    weight: Annotated[float, typer.Option(help="Synthetic images that a correction counts as.")] = 4.0,
    seed: int = 0,
    no_tracking: Annotated[bool, typer.Option("--no-tracking", help="Keep it out of MLflow.")] = False,
    as_json: AsJson = False,
) -> int:
    """Make a new bundle from the corrections since the last one. Run it again to continue."""
    from pipelines.console import print_json
    from pipelines.retrain import plan_job, unwatched
    from pipelines.retrain import retrain as run_retraining
    from pipelines.retrain_job import Options
    from pipelines.retrain_text import as_json as retrained_as_json
    from pipelines.retrain_text import as_text
    from pipelines.tracking import training_store
    from pipelines.tracking_retrain import follow_retraining

    settings = _reviewed(out, state, config).changed({"bundle": bundle})
    options = Options(seed=seed, weight=weight, full=iterations if full else 0, shape=shape)
    job = plan_job(settings, options, label_maps=label_maps, lesion_masks=lesion_masks, cases=cases)
    tracked = settings.tracking.on and not no_tracking
    found = run_retraining(job, to, follow_retraining(training_store(settings), _warn) if tracked else unwatched)
    print_json(retrained_as_json(found)) if as_json else typer.echo(as_text(found))
    return 0


@app.command("next")
def next_(
    n: Annotated[int, typer.Option("--n", help="How many.")] = 10,
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    seed: int = 0,
    as_json: AsJson = False,
) -> int:
    """Propose which cases to label next: those that the model could learn most from."""
    from dataclasses import asdict

    from pipelines.console import print_json
    from pipelines.next_cases import as_text, propose, read_candidates
    from pipelines.settings import load_settings

    settings = load_settings(config).changed({"out": out, "state": state})
    found = propose(read_candidates(settings), n, seed=seed)
    print_json({"next": [asdict(one) for one in found]}) if as_json else typer.echo(as_text(found))
    return 0


@track_commands.command("import")
def import_training(
    folder: Annotated[Path, typer.Argument(help="Folder of a training, such as from a machine without MLflow.")],
    *,
    state: State = None,
    config: Config = None,
) -> int:
    """Bring a training into MLflow; again, only what is new of it."""
    from pipelines.settings import load_settings
    from pipelines.tracking import import_training as bring_in
    from pipelines.tracking import training_store

    settings = load_settings(config).changed({"out": folder, "state": state})
    typer.echo(f"MLflow run {bring_in(folder, training_store(settings))} at {settings.tracking_uri}")
    return 0


@app.command()
def plan(
    *,
    arrivals: Annotated[str, typer.Option(help="Cases that arrive, as 60/day or 7.5/hour.")],
    reviewers: Annotated[int, typer.Option(min=1, help="Who read the queue at the same time.")],
    minutes: Annotated[float, typer.Option(help="Mean time of one reading.")],
    hours: Annotated[float, typer.Option(help="Working hours a day.")] = 8.0,
    risk: Annotated[float | None, typer.Option(help="Of the accepted.  [default: the bundle's]")] = None,
    flagged: Annotated[float | None, typer.Option(help="Share of flagged cases that you measured.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model.  [default: the shipped one]")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Plan the reading: the limit that keeps the risk, and who waits how long for a reviewer."""
    from pipelines.console import print_json
    from pipelines.plan import make_plan, workload
    from pipelines.plan_text import as_json as plan_as_json
    from pipelines.plan_text import as_text
    from pipelines.promises import read_promises
    from pipelines.settings import SHIPPED_BUNDLE, load_settings

    blind = load_settings(config).blind_review
    site = workload(arrivals, hours, reviewers=reviewers, minutes=minutes, blind=blind, flagged=flagged)
    planned = make_plan(site, read_promises(bundle or SHIPPED_BUNDLE), risk)
    print_json(plan_as_json(planned)) if as_json else typer.echo(as_text(planned))
    return 0


@app.command()
def challenge(
    challenger: Challenger,
    *,
    cases: Annotated[Path, typer.Option(help="Table of the frozen test set: case, split, finding, t1, label, ...")],
    splits: Annotated[str, typer.Option(help="Splits of the table, with commas between.")] = "test,pathology",
    recent: Annotated[int, typer.Option(min=0, help="How many of the last cases the challenger sees in shadow.")] = 30,
    cache: Annotated[Path, typer.Option(help="Folder for what takes long.")] = Path("out/bench"),
    out: Out = None,
    state: State = None,
    config: Config = None,
) -> int:
    """Compare a model with the live one; a promotion asks for it. Ends with 2 when it gives no leave."""
    from pipelines.challenge import challenge as compare
    from pipelines.comparison import as_markdown
    from pipelines.scans import read_scans
    from pipelines.settings import load_settings
    from pipelines.tracking_registry import named_bundle

    settings = load_settings(config).changed({"out": out, "state": state})
    scans = read_scans(cases, splits.split(","))
    with named_bundle(challenger, settings) as (folder, _):
        found = compare(folder, settings, scans, recent=recent, cache=cache, step=_note)
    typer.echo(as_markdown(found))
    return 0 if found.gives_leave else 2


@app.command()
def promote(
    challenger: Challenger, *, because: Because = None, out: Out = None, state: State = None, config: Config = None
) -> int:
    """Let runs from now on decide with this model, if it was compared with the live one and lost nothing."""
    from pipelines.bundles import open_history
    from pipelines.console import show_live
    from pipelines.promote import promote as go_live
    from pipelines.settings import load_settings
    from pipelines.tracking_registry import named_bundle, open_registry

    settings = load_settings(config).changed({"out": out, "state": state})
    with open_history(settings) as history, named_bundle(challenger, settings) as (folder, run_id):
        registry = open_registry(settings)
        show_live(go_live(folder, settings, history, registry, because=because, run_id=run_id))
    return 0


@app.command()
def rollback(*, because: Because = None, out: Out = None, state: State = None, config: Config = None) -> int:
    """Let runs from now on decide with the model that was live before the last promotion."""
    from pipelines.bundles import open_history
    from pipelines.console import show_live
    from pipelines.promote import rollback as go_back
    from pipelines.tracking_registry import open_registry

    settings = _reviewed(out, state, config)
    with open_history(settings) as history:
        show_live(go_back(settings, history, open_registry(settings), because=because))
    return 0


@app.command()
def live(out: Out = None, state: State = None, config: Config = None, as_json: AsJson = False) -> int:
    """Tell which model is live and which ones were when, and see that MLflow's alias agrees."""
    from pipelines.bundles import open_history
    from pipelines.console import show_lives
    from pipelines.promote import agree
    from pipelines.tracking_registry import open_registry

    settings = _reviewed(out, state, config)
    with open_history(settings) as history:
        warning = agree(settings, history, open_registry(settings))
        show_lives(history.lives(), warning, as_json=as_json)
    return 0


@app.command()
def monitor(
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model.  [default: the live one]")] = None,
    as_json: AsJson = False,
) -> int:
    """Tell whether the promise of the model in use still holds. Ends with 2 when its gate is tightened or closed."""
    from pipelines.console import print_json
    from pipelines.monitor import watch_in_use
    from pipelines.monitor_text import as_json as watched_as_json
    from pipelines.monitor_text import as_text
    from triage.gate.monitor import Stance

    watched = watch_in_use(_reviewed(out, state, config).changed({"bundle": bundle}))
    print_json(watched_as_json(watched)) if as_json else typer.echo(as_text(watched))
    return 0 if watched.monitor.stance is Stance.AS_SET else 2


@app.command()
def version() -> int:
    """Print the version."""
    typer.echo(f"brain-triage {__version__}")
    return 0


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


def _review_queue(out: Path | None, state: Path | None, config: Path | None) -> "ReviewQueue":
    from triage.review import open_queue

    return open_queue(_reviewed(out, state, config).review_database)


def _reviewed(out: Path | None, state: Path | None, config: Path | None) -> "Settings":
    """The settings of an installation that has a review queue."""
    from pipelines.settings import load_settings

    settings = load_settings(config).changed({"out": out, "state": state})
    if settings.review_url is None and not settings.review_file.is_file():
        raise TriageError(
            f"There is no review queue at {settings.review_file}.",
            do="Run `brain-triage run` first, or name its folders with --out or --state.",
        )
    return settings


def _note(message: str) -> None:
    typer.echo(message, err=True)


def _warn(message: str) -> None:
    typer.secho(f"brain-triage: {message}", fg=typer.colors.YELLOW, err=True)


def _internal(error: Exception) -> str:
    from pipelines.inbox import where

    return f"Internal error: {type(error).__name__} at {where(error)}. Please report this line; it names no patient."


if __name__ == "__main__":
    sys.exit(main())
