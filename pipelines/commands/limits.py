"""Commands on the gate: what it promises, what that costs, and whether it still holds."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.options import AsJson, Config, Out, State, note, reviewed


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
        say=note,
    )
    write_bundle(found, bundle, out, confidence)
    typer.echo(in_words(found, confidence))
    return 0 if found.certified else 2


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
