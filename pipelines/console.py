"""What the commands print: a table for people, one JSON object for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from pipelines.outcome import RunResult, plain
from triage import NOT_FOR_CLINICAL_USE
from triage.report.text import visible
from triage.review import AuditState, LiveRecord, OpenItem
from triage.review.records import DecidedCase, LastDecision
from triage.verdict import BundleId, Route

if TYPE_CHECKING:
    from pipelines.promote import NowLive
    from pipelines.replay import Replay

NOT_PROMOTED_YET = "No model was promoted until then."
NEVER_PROMOTED = "No model was promoted: runs decide with the one that came with the program."
ROUTES = {
    Route.ACCEPTED: ("accepted", "their measurements are in the report"),
    Route.HUMAN_REVIEW: ("for human review", "the report says why; `brain-triage queue` lists them"),
    Route.REFUSED: ("refused", "the report says why and what to do"),
}


def show_run(result: RunResult, out: Path, *, quiet: bool, as_json: bool) -> None:
    """The end of a run; when quiet, only what needs attention."""
    if as_json:
        print_json(_run(result, out))
        return
    console = Console(highlight=False)
    if not quiet:
        console.print(_counts(result))
        kept = len(result.outcomes) - result.decided_now
        console.print(f"{result.decided_now} decided in {result.seconds:.0f} s, {kept} decided before.")
        for reason, count in sorted(result.skipped.items()):
            console.print(f"Left alone: {count} ({reason})", markup=False)
        console.print(f"Report: {out / 'index.html'}", markup=False, soft_wrap=True)
    for warning in result.warnings:
        Console(stderr=True).print(f"Warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if result.cut_short:
        Console(stderr=True).print("Interrupted. Decided cases are kept; run again to continue.", style="yellow")


def show_queue(items: Sequence[OpenItem], *, as_json: bool) -> None:
    """The cases that wait, in the order in which they should be seen."""
    if as_json:
        print_json({"schema": "brain-triage/queue/1", "items": [_item(item) for item in items]})
        return
    console = Console(highlight=False)
    if not items:
        console.print("No case waits for a human.")
        return
    table = Table("case", "route", "doubt", "waits", "reason", "what to do")
    for item in items:
        waits = _since(datetime.now(UTC) - item.waiting_since)
        texts = (item.pseudonym, item.route.value, f"{item.doubt:.3g}", waits, item.reason, item.action)
        table.add_row(*(visible(text).replace("[", r"\[") for text in texts))
    console.print(table)


def show_audit(state: AuditState, *, as_json: bool) -> None:
    """Whether the audit trail is whole, and the digest to note down."""
    if as_json:
        broken = {"row": state.broken.sequence, "why": state.broken.why} if state.broken else None
        found = {"rows": state.rows, "head": state.head, "noted": state.noted, "broken": broken}
        print_json({"schema": "brain-triage/audit/1", **found})
        return
    console = Console(highlight=False)
    if state.broken:
        console.print(f"The audit trail is broken at row {state.broken.sequence}: {state.broken.why}.", style="red")
        return
    noted = f"; {state.noted} noted {'head lies' if state.noted == 1 else 'heads lie'} in it" if state.noted else ""
    console.print(f"The audit trail is whole: {state.rows} rows, head {state.head}{noted}.", soft_wrap=True)


def show_live_at(moment: datetime, live: LiveRecord | None, last: LastDecision | None, *, as_json: bool) -> None:
    """Which model was live at a moment, and which one decided last: another than the live one when a run named it."""
    if as_json:
        decided = {"bundle": asdict(last.bundle), "at": last.at.isoformat()} if last else None
        found = {"at": moment.isoformat(), "live": _life(live) if live else None, "last_decision": decided}
        print_json({"schema": "brain-triage/live-at/1", **found})
        return
    said = f"{_bundle(live.bundle)}, since {live.since:%Y-%m-%d %H:%M}: {live.because}" if live else NOT_PROMOTED_YET
    said += f" The last case was decided {last.at:%Y-%m-%d %H:%M} by {_bundle(last.bundle)}." if last else ""
    Console(highlight=False).print(f"{moment:%Y-%m-%d %H:%M} UTC: {said}", markup=False, soft_wrap=True)


def show_decided(cases: Sequence[DecidedCase], *, as_json: bool) -> None:
    """Every case that a bundle decided, oldest first."""
    if as_json:
        print_json({"schema": "brain-triage/decided/1", "cases": [_decided(case) for case in cases]})
        return
    table = Table("case", "route", "score", "decided")
    for case in cases:
        decision = case.decision
        when = f"{decision.decided_at:%Y-%m-%d %H:%M}"
        table.add_row(case.pseudonym, decision.route.value, f"{decision.score:.3g}", when)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"{len(cases)} decided by {_bundle(cases[0].decision.bundle)}.", markup=False, soft_wrap=True)


def show_replay(found: "Replay", *, as_json: bool) -> None:
    """Whether a case came out the same, and if not, where."""
    if as_json:
        print_json({"schema": "brain-triage/replay/1", "identical": not found.differs, **asdict(found)})
        return
    console = Console(highlight=False)
    if not found.differs:
        same = ", ".join(found.compared)
        console.print(f"Identical under {found.bundle_digest[:12]}: {same}.", markup=False, soft_wrap=True)
        return
    console.print(f"Not the same under {found.bundle_digest[:12]}:", style="red", markup=False)
    for line in found.differs:
        console.print(f"  {line}", markup=False, soft_wrap=True)


def show_live(now: "NowLive") -> None:
    """What a promotion or a rollback did."""
    before = f"; before: {_bundle(now.before)}" if now.before else ""
    Console(highlight=False).print(f"Live: {_bundle(now.bundle)}{before}.", markup=False, soft_wrap=True)
    if now.warning:
        Console(stderr=True).print(f"Warning: {now.warning}", style="yellow", markup=False, soft_wrap=True)


def show_lives(lives: Sequence[LiveRecord], warning: str | None, *, as_json: bool) -> None:
    """Which bundle was live when, oldest first."""
    if as_json:
        print_json({"schema": "brain-triage/live/1", "lives": [_life(life) for life in lives], "warning": warning})
        return
    console = Console(highlight=False)
    if not lives:
        console.print(NEVER_PROMOTED)
        return
    table = Table("bundle", "digest", "since", "until", "by", "because")
    for life in lives:
        until = f"{life.until:%Y-%m-%d %H:%M}" if life.until else "live"
        name = f"{life.bundle.name} {life.bundle.version}"
        texts = (name, life.bundle.digest[:12], f"{life.since:%Y-%m-%d %H:%M}", until, life.by, life.because)
        table.add_row(*(visible(text).replace("[", r"\[") for text in texts))
    console.print(table)
    if warning:
        Console(stderr=True).print(f"Warning: {warning}", style="yellow", markup=False, soft_wrap=True)


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object, ASCII, on standard output."""
    print(json.dumps(content, indent=1, allow_nan=False))


def _counts(result: RunResult) -> Table:
    table = Table(title=NOT_FOR_CLINICAL_USE, title_justify="left", show_header=False)
    table.add_column(justify="right")
    for route, (name, hint) in ROUTES.items():
        count = result.counts[route]
        table.add_row(str(count), name, hint if count else "")
    return table


def _run(result: RunResult, out: Path) -> dict[str, Any]:
    return {
        "schema": "brain-triage/run/1",
        "status": "interrupted" if result.cut_short else "finished",
        "exit_status": result.exit_status,
        "counts": result.counts,
        "decided_now": result.decided_now,
        "left_alone": dict(result.skipped),
        "seconds": round(result.seconds, 3),
        "bundle": {"name": result.bundle.name, "version": result.bundle.version, "digest": result.bundle.digest},
        "report": str(out / "index.html"),
        "warnings": list(result.warnings),
        "cases": [{**outcome.as_json(), "decided_before": outcome.kept} for outcome in result.outcomes],
    }


def _decided(case: DecidedCase) -> dict[str, Any]:
    decision = case.decision
    return {
        "pseudonym": case.pseudonym,
        "content_sha256": decision.content_sha256,
        "bundle": asdict(decision.bundle),
        "route": decision.route.value,
        "code": decision.code,
        "score": plain(decision.score),
        "decided_at": decision.decided_at.isoformat(),
        "current": decision.current,
    }


def _life(life: LiveRecord) -> dict[str, Any]:
    return {
        "bundle": asdict(life.bundle),
        "mlflow_version": life.mlflow_version,
        "since": life.since.isoformat(),
        "until": life.until.isoformat() if life.until else None,
        "by": life.by,
        "because": life.because,
    }


def _bundle(bundle: BundleId) -> str:
    return f"{bundle.name} {bundle.version} ({bundle.digest[:12]})"


def _item(item: OpenItem) -> dict[str, Any]:
    return {
        "pseudonym": item.pseudonym,
        "route": item.route.value,
        "doubt": plain(item.doubt),
        "reason": item.reason,
        "action": item.action,
        "bundle_digest": item.bundle_digest,
        "waiting_since": item.waiting_since.isoformat(),
    }


def _since(waited: timedelta) -> str:
    minutes = max(0, int(waited.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"
