"""One row a case, for a spreadsheet: no cell can act as a formula."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from triage.anatomy import STRUCTURES, TISSUES
from triage.findings import FINDINGS
from triage.report.summary import DecidedCase, reason_titles
from triage.report.text import visible

CASES = "cases.csv"
MEASURED = (*(s.key for s in STRUCTURES), *TISSUES, "brain_parenchymal_fraction")

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the start of a formula. Source: OWASP, CSV Injection."""

Cell = str | int | float | None


def write_cases_csv(cases: Sequence[DecidedCase], path: Path) -> None:
    """Writes every case in the order given. Numbers stay numbers; one that is not finite is an empty cell."""
    rows = [_row(case) for case in cases]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_header())
        writer.writerows([_safe(cell) for cell in row] for row in rows)


def _header() -> list[str]:
    unit = {"brain_parenchymal_fraction": ""}
    measured = [f"{key}{unit.get(key, '_ml')}{end}" for key in MEASURED for end in ("", "_low", "_high")]
    first = ["case", "route", "score", "limit", "reasons", "code", "action", "structure"]
    return [*first, "pattern_most_like", *(f"p_{f.key}" for f in FINDINGS), *measured, "bundle", "seconds"]


def _row(case: DecidedCase) -> list[Cell]:
    verdict = case.verdict
    measured: list[Cell] = []
    for key in MEASURED:
        row = case.measurements.get(key)
        measured += [row.value, row.low, row.high] if row else [None, None, None]
    probability = {f.key: f.probability for f in case.findings}
    return [
        case.pseudonym,
        verdict.route.value,
        verdict.score,
        verdict.limit,
        "; ".join(reason_titles(case)),
        case.refusal.code.value if case.refusal else None,
        verdict.action,
        verdict.place.structure if verdict.place else None,
        case.most_like.key if case.most_like else None,
        *(probability.get(f.key) for f in FINDINGS),
        *measured,
        case.bundle.digest,
        case.seconds,
    ]


def _safe(cell: Cell) -> Cell:
    if isinstance(cell, str):
        return f"'{visible(cell)}" if cell.startswith(_FORMULA_STARTS) else visible(cell)
    if cell is None or not math.isfinite(cell):
        return None
    return float(f"{cell:.6g}") if isinstance(cell, float) else cell
