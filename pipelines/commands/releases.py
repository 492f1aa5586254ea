"""Commands on which model decides."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import AsJson, Config, Out, State, note, reviewed

Challenger = Annotated[str, typer.Argument(help="Folder of a bundle, or the id of a retraining in MLflow.")]
By = Annotated[str | None, typer.Option(help="Owner of the review pages who decides.  [default: this machine's user]")]
Because = Annotated[str | None, typer.Option(help="Why; it is recorded. With it, a challenger that lost may go live.")]


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
    with named_bundle(challenger, settings) as folder:
        found = compare(folder, settings, scans, recent=recent, cache=cache, step=note)
    typer.echo(as_markdown(found))
    return 0 if found.gives_leave else 2


def promote(
    challenger: Challenger,
    *,
    because: Because = None,
    by: By = None,
    out: Out = None,
    state: State = None,
    config: Config = None,
) -> int:
    """Let runs from now on decide with this model, if it was compared with the live one and lost nothing."""
    from pipelines.bundles import open_history
    from pipelines.console import show_live
    from pipelines.people import who
    from pipelines.promote import promote as go_live
    from pipelines.settings import load_settings
    from pipelines.tracking_registry import named_bundle, open_registry

    settings = load_settings(config).changed({"out": out, "state": state})
    with open_history(settings) as history, named_bundle(challenger, settings) as folder:
        registry, actor = open_registry(settings), who(settings, by)
        show_live(go_live(folder, settings, history, registry, by=actor, because=because))
    return 0


def rollback(
    *, because: Because = None, by: By = None, out: Out = None, state: State = None, config: Config = None
) -> int:
    """Let runs from now on decide with the model that was live before the last promotion."""
    from pipelines.bundles import open_history
    from pipelines.console import show_live
    from pipelines.people import who
    from pipelines.promote import rollback as go_back
    from pipelines.tracking_registry import open_registry

    settings = reviewed(out, state, config)
    with open_history(settings) as history:
        show_live(go_back(settings, history, open_registry(settings), by=who(settings, by), because=because))
    return 0


def live(out: Out = None, state: State = None, config: Config = None, as_json: AsJson = False) -> int:
    """Tell which model is live and which ones were when, and see that MLflow's alias agrees."""
    from pipelines.bundles import open_history
    from pipelines.console import show_lives
    from pipelines.promote import agree
    from pipelines.tracking_registry import open_registry

    settings = reviewed(out, state, config)
    with open_history(settings) as history:
        warning = agree(settings, history, open_registry(settings))
        show_lives(history.lives(), warning, as_json=as_json)
    return 0
