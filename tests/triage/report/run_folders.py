"""An output folder as a run leaves it, for the tests of the pages."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.verdicts import BUNDLE, PROMISE
from triage.report.as_figures import as_figures
from triage.report.as_json import as_json
from triage.report.summary import RunSummary, load_cases
from triage.verdict import Report


def fill(out: Path, reports: Iterable[Report], *, figures: bool = False) -> Path:
    """Writes each report into its case folder."""
    for report in reports:
        folder = out / report.case.pseudonym
        folder.mkdir(parents=True)
        as_json(report, folder)
        if figures:
            as_figures(report, folder)
    return out


def a_run(out: Path, **changes: Any) -> RunSummary:
    """The run over an output folder."""
    cases, unreadable = load_cases(out)
    facts: dict[str, Any] = {
        "finished": datetime(2026, 1, 17, 12, 3, tzinfo=UTC),
        "bundle": BUNDLE,
        "promise": PROMISE,
        "seconds": 143.2,
        "cases": cases,
        "unreadable": unreadable,
        "skipped": {"structured report": 14, "not MR": 3},
        "settings": {"samples": 32, "device": "cpu"},
    }
    return RunSummary(**{**facts, **changes})
