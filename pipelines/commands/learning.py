"""Commands that make and measure a model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.options import AsJson, Config, Out, State, reviewed, warn
from triage.errors import TriageError

if TYPE_CHECKING:
    from pipelines.train import Watch


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
    from pipelines.deep_ensemble import MEMBERS, read_ensemble
    from pipelines.engine import load_engine
    from pipelines.evaluate import as_text
    from pipelines.evaluate import evaluate as evaluate_scans
    from pipelines.kept import finite
    from pipelines.labelled import damaged, features_folder, labelled
    from pipelines.posterior_table import BASELINE, as_table, compare_posteriors, read_posteriors
    from pipelines.scans import read_scans
    from pipelines.settings import SHIPPED_BUNDLE

    rows: Any
    scans = read_scans(cases, splits.split(","))
    if not any(scan.labels for scan in scans):
        raise TriageError(f"{cases} holds no labelled scan of the split {splits}.", do="Name other --splits.")
    engine = load_engine(bundle or SHIPPED_BUNDLE)
    features = features_folder(cache, engine.model.trunk)
    if posteriors is None:
        rows = list(evaluate_scans(scans, engine, features))
        typer.echo(as_text(rows))
    else:
        drawn = [scan for scan in scans if scan.labels is not None]
        clean = labelled(drawn, engine.runner, features)
        worse = damaged(drawn, damage or (), engine.runner, features)
        fitted = read_posteriors(posteriors, [BASELINE])
        ensemble = read_ensemble(posteriors / MEMBERS, engine.model.trunk, fitted[BASELINE].mean)
        rows = compare_posteriors(fitted, engine, clean, worse, cache, ensemble=ensemble)
        typer.echo(as_table(rows))
    if out is not None:
        out.write_text(json.dumps(finite(rows), indent=1, allow_nan=False))
    return 0


def train(context: typer.Context) -> int:
    """Train a network on images synthesised from label maps; `brain-triage train --help` lists the options."""
    from pipelines.settings import load_settings
    from pipelines.tracking_store import training_store
    from pipelines.tracking_training import follow_training
    from pipelines.train import main as run_training

    def follow(out: Path) -> "Watch":
        return follow_training(training_store(load_settings().changed({"out": out})), warn)

    try:
        typer.echo(f"Trained: {run_training(context.args, follow)}")
    except SystemExit as stopped:  # its parser has said what was not understood
        return 1 if stopped.code else 0
    return 0


def import_training(
    folder: Annotated[Path, typer.Argument(help="Folder of a training, such as from a machine without MLflow.")],
    *,
    state: State = None,
    config: Config = None,
) -> int:
    """Bring a training into MLflow; again, only what is new of it."""
    from pipelines.settings import load_settings
    from pipelines.tracking_store import training_store
    from pipelines.tracking_training import import_training as bring_in

    settings = load_settings(config).changed({"out": folder, "state": state})
    typer.echo(f"MLflow run {bring_in(folder, training_store(settings))} at {settings.tracking_uri}")
    return 0


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
    iterations: Annotated[int, typer.Option(min=1, help="Of the fine-tuning.")] = 2000,
    shape: Annotated[tuple[int, int, int], typer.Option(help="Its field of view, mm; multiples of 32.")] = (
        160,
        192,
        160,
    ),
    weight: Annotated[float, typer.Option(help="Synthetic images that a correction counts as.")] = 4.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
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
    from pipelines.tracking_retrain import follow_retraining
    from pipelines.tracking_store import training_store

    settings = reviewed(out, state, config).changed({"bundle": bundle})
    options = Options(seed=seed, weight=weight, full=iterations if full else 0, shape=shape)
    job = plan_job(settings, options, label_maps=label_maps, lesion_masks=lesion_masks, cases=cases)
    tracked = settings.tracking.on and not no_tracking
    found = run_retraining(job, to, follow_retraining(training_store(settings), warn) if tracked else unwatched)
    print_json(retrained_as_json(found)) if as_json else typer.echo(as_text(found))
    return 0


def next_(
    n: Annotated[int, typer.Option("--n", min=1, help="How many.")] = 10,
    *,
    out: Out = None,
    state: State = None,
    config: Config = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
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
