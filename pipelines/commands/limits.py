"""Commands on the gate: what it promises, what that costs, and whether it still holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.options import AsJson, Config, Out, State, note, reviewed

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from triage.ledger import Ledger


def calibrate(
    *,
    cases: Annotated[Path, typer.Option(help="Labelled scans: case, subject, split, t1, label, age, vendor, ...")],
    bundle: Annotated[Path, typer.Option(help="Folder of the model.")],
    to: Annotated[
        Path | None, typer.Option(help="Folder for the new bundle; must not exist.  [default: BUNDLE-VERSION, in here]")
    ] = None,
    risk: Annotated[
        list[float] | None,
        typer.Option(
            help="Share of accepted cases that may fail; repeatable.  [default: as asked of it before, or .05]"
        ),
    ] = None,
    lesion_risk: Annotated[list[float] | None, typer.Option(help="The same, with missed lesions counted too.")] = None,
    confidence: Annotated[
        float | None, typer.Option(help="Of all risks together.  [default: as before, or .95]")
    ] = None,
    whatever_holds: Annotated[
        bool | None, typer.Option(help="If all are refused, promise the risk that holds.")
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for what takes long; it is continued there.")] = Path("out/bench"),
    out: Out = None,
    state: State = None,
    config: Config = None,
) -> int:
    """Set the limit of the gate from labelled scans, certified, or refused with how many more cases it takes.

    Without --risk it is asked for what the bundle's last calibration was asked for, whatever holds included.
    """
    from pipelines.bundles import identify
    from pipelines.calibrate import calibrate as calibrate_gate
    from pipelines.certificate import fresh, next_version, write_bundle
    from pipelines.certificate_text import in_words
    from pipelines.promises import asked_for
    from pipelines.settings import load_settings

    beside = Path(f"{bundle.resolve().name}-{next_version(identify(bundle).version)}")
    to = fresh(to or beside)  # said before the hours that scoring takes
    asked = asked_for(bundle, risk, lesion_risk, confidence, whatever_holds=whatever_holds)
    found = calibrate_gate(
        cases=cases,
        bundle=bundle,
        risks=asked.risks,
        lesion_risks=asked.lesion_risks,
        confidence=asked.confidence,
        whatever_holds=asked.whatever_holds,
        ledger=_ledger(load_settings(config).changed({"out": out, "state": state})),
        cache=cache,
        say=note,
    )
    write_bundle(found, bundle, to, asked.confidence)
    typer.echo(f"{in_words(found, asked.confidence)}\nThe bundle with these limits: {to}")
    return 0 if found.certified else 2


def _ledger(settings: "Settings") -> "Ledger":
    """That of the state folder; whoever named the wrong folders is told that a new one begins."""
    from pipelines.retrain_corrections import LEDGER, open_ledger

    if not (settings.state_folder / LEDGER).is_file():
        note(f"A new ledger of who trains and who tests begins in {settings.state_folder}; --state names another.")
    return open_ledger(settings)


def plan(
    *,
    arrivals: Annotated[str, typer.Option(help="Cases that arrive, as 60/day or 7.5/hour.")],
    reviewers: Annotated[int, typer.Option(min=1, help="Who read the queue at the same time.")],
    minutes: Annotated[float, typer.Option(help="Mean time of one reading.")],
    hours: Annotated[float, typer.Option(help="Working hours a day.")] = 8.0,
    risk: Annotated[float | None, typer.Option(help="Of the accepted.  [default: the bundle's]")] = None,
    flagged: Annotated[float | None, typer.Option(help="Share of flagged cases that you measured.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model.  [default: the live one]")] = None,
    out: Out = None,
    state: State = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Plan the reading: the limit that keeps the risk, and who waits how long for a reviewer."""
    from pipelines.bundles import find_bundle
    from pipelines.console import print_json
    from pipelines.plan import make_plan, workload
    from pipelines.plan_text import as_json as plan_as_json
    from pipelines.plan_text import as_text
    from pipelines.promises import read_promises
    from pipelines.settings import load_settings

    settings = load_settings(config).changed({"out": out, "state": state, "bundle": bundle})
    blind = settings.blind_review
    site = workload(arrivals, hours, reviewers=reviewers, minutes=minutes, blind=blind, flagged=flagged)
    planned = make_plan(site, read_promises(find_bundle(settings)), risk)
    print_json(plan_as_json(planned)) if as_json else typer.echo(as_text(planned))
    return 0


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

    watched = watch_in_use(reviewed(out, state, config).changed({"bundle": bundle}))
    print_json(watched_as_json(watched)) if as_json else typer.echo(as_text(watched))
    return 0 if watched.monitor.stance is Stance.AS_SET else 2


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
