"""Does a flag name what is wrong? Faults put into scans, against the reason named first and what is suggested.

python -m pipelines.bench.explain --data ../shared/data --cache CACHE
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.bench.doubt_text import wrapped
from pipelines.bench.explain_cases import FAULTS, FOCAL, GLOBAL, RADIUS_MM, measured
from pipelines.bench.explain_matrix import REASON, SUGGESTION, counted, draw, first_reason, suggested
from pipelines.bench.page import Bench, Inputs, Results, run, table
from pipelines.bench.stress_rows import SCANS, Row, judged, refuses, scored
from pipelines.engine import load_engine
from pipelines.settings import SHIPPED_BUNDLE
from pipelines.stress import Rung
from pipelines.stress_page import named
from triage.gate.interpretation import GLOBAL_MISFIT
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.wording import Action

PLOT = "explain.png"


def measure(inputs: Inputs) -> Results:
    """A row a fault."""
    engine = load_engine(inputs.bundle)
    name = f"{engine.bundle.name} {engine.bundle.version}"
    return {"bundle": name, "rows": measured(inputs), "scored": damaged_ones(scored(inputs, engine))}


def damaged_ones(rows: Sequence[Row]) -> list[Row]:
    """With their damage as the fault."""
    return [{"fault": row["rung"]["kind"]} | row for row in rows if row["rung"]["level"]]


def write(results: Results, folder: Path) -> str:
    """The page and its figure, judged by the operating point that is shipped now."""
    point = read_operating_point(SHIPPED_BUNDLE / FILE)
    rows, others = ([(row["fault"], judged(row, point)) for row in results[name]] for name in ("rows", "scored"))
    asked = ((REASON, [*rows, *others]), (SUGGESTION, rows))
    draw(asked, folder / PLOT)
    flagged, named_first = ([(f, r) for f, r in found if not r.accepted] for found in (rows, [*rows, *others]))
    reasons = sum(rung.reasons[0] in FAULTS[fault].signals for fault, rung in named_first)
    actions = sum(suggested(rung) in FAULTS[fault].actions for fault, rung in flagged)
    page = PAGE.format(
        bundle=results["bundle"],
        refuses=refuses(point),
        scans=" and ".join(SCANS),
        radii=", ".join(f"{radius:g}" for radius in RADIUS_MM),
        others=len(others),
        flagged=len(flagged),
        named_first=len(named_first),
        reasons=f"{reasons} ({reasons / len(named_first):.0%})",
        actions=f"{actions} ({actions / len(flagged):.0%})",
        weak=_weak(rows, [*rows, *others], [row for row in results["rows"] if "slices" in row]),
        matrices="\n".join(f"{answer.title}:\n\n{counted(own, answer)}" for answer, own in asked),
        faults=_faults(rows, [*rows, *others]),
        misfit=_misfit(results["rows"]),
        threshold=GLOBAL_MISFIT,
        slices=_slices(results["rows"], point),
    )
    return wrapped(page)


def _faults(rows: Sequence[tuple[str, Rung]], every: Sequence[tuple[str, Rung]]) -> str:
    """every: with those that have no suggestions."""
    lines = []
    for fault, expected in FAULTS.items():
        seen = [rung for name, rung in every if name == fault]
        flagged = [rung for rung in seen if not rung.accepted]
        right = sum(rung.reasons[0] in expected.signals for rung in flagged)
        first = Counter(first_reason(rung) for rung in flagged).most_common(1)
        advised = [rung for name, rung in rows if name == fault and not rung.accepted]
        done = sum(suggested(rung) in expected.actions for rung in advised)
        wanted = " or ".join(action.value.lower() for action in Action if action in expected.actions)
        most = first[0][0] if first else "-"
        lines.append([named(fault), f"{len(flagged)} of {len(seen)}", most, right, wanted, f"{done} of {len(advised)}"])
    header = ["fault", "flagged", "named first, mostly", "reason fits", "suggestion that fits", "suggestion fits"]
    return table(header, lines)


def _misfit(rows: Sequence[Row]) -> str:
    """Range of the misfit by fault, and whether a limit tells global faults from those in one place."""
    seen = {fault: [row["misfit"] for row in rows if row["fault"] == fault] for fault in FAULTS}
    found = {fault: [value for value in values if value is not None] for fault, values in seen.items()}
    lines = [[named(f), f"{min(v):.3f}", f"{np.median(v):.3f}", f"{max(v):.3f}"] for f, v in found.items() if v]
    everywhere, one_place = (np.concatenate([found[fault] for fault in faults]) for faults in (GLOBAL, FOCAL))
    right = int((everywhere >= GLOBAL_MISFIT).sum() + (one_place < GLOBAL_MISFIT).sum())
    return (
        f"Wrong poses and heads upside down have at least {everywhere.min():.2f}, painted lesions and voids "
        f"at most {one_place.max():.2f}; {right} of {len(everywhere) + len(one_place)} lie on the right side of "
        f"{GLOBAL_MISFIT}."
        f"\n\n{table(['fault', 'least', 'median', 'most'], lines)}\n"
    )


def _slices(rows: Sequence[Row], point: OperatingPoint) -> str:
    """Of each lesion and void: whether it was flagged, and whether the slices to edit are its own."""
    lines = []
    for row in (row for row in rows if "slices" in row):
        rung, (first, last) = judged(row, point), row["slices"]
        focal = row["suggestions"]["focal_conflict"]
        what = f"{named(row['fault'])} {rung.level}"
        told = [f"{first} to {last}", focal.partition(":")[0], _share(overlap(focal, first, last))]
        lines.append([rung.case, what, rung.score / rung.limit, rung.route.replace("_", " "), *told])
    header = ["scan", "fault", "score / limit", "route", "its slices", "suggested for local anatomy", "of its slices"]
    return table(header, lines)


def overlap(suggestion: str, first: int, last: int) -> float:
    """Share of the lesion's slices that the suggestion names; NaN where it names none."""
    numbers = [int(n) for n in re.findall(r"[0-9]+", suggestion.partition(":")[0])]
    if len(numbers) != 2:
        return math.nan
    both = min(last, numbers[1]) - max(first, numbers[0]) + 1
    return max(0, both) / (last - first + 1)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def _weak(rows: Sequence[tuple[str, Rung]], every: Sequence[tuple[str, Rung]], placed: Sequence[Row]) -> str:
    """What flags do not tell, for the first screen. every: with those without suggestions. placed: as measured."""
    lesions = [rung for fault, rung in every if fault == "lesion"]
    voids = [rung for fault, rung in rows if fault == "voids" and not rung.accepted]
    named_right = sum(rung.reasons[0] in FAULTS["voids"].signals for rung in voids)
    advised_right = sum(suggested(rung) in FAULTS["voids"].actions for rung in voids)
    shares = [overlap(row["suggestions"]["focal_conflict"], *row["slices"]) for row in placed]
    elsewhere = [row for row, share in zip(placed, shares, strict=True) if share == 0]
    said = (
        f"**What a flag does not tell.** Of {len(lesions)} painted lesions {sum(not one.accepted for one in lesions)} "
        f"are flagged. Of {len(voids)} flagged scans with voids the reason named first fits in {named_right}, the "
        f"suggestion in {advised_right}. The slices that are suggested are those where doubt or conflict with anatomy "
        f"is largest, not those where the lesion is: of {sum(not math.isnan(share) for share in shares)} lesions and "
        f"voids for which slices are suggested, {len(elsewhere)} lie wholly on others"
    )
    if not elsewhere:
        return f"{said}."
    row = min(elsewhere, key=lambda one: one["fault"] != "lesion")
    rung, (first, last) = row["rung"], row["slices"]
    words = row["suggestions"]["focal_conflict"].partition(":")[0].lower()
    what = f"{rung['case']}, {named(row['fault'])} {rung['level']}"
    return f'{said} ({what}: "{words}", where it lies on {first} to {last}).'


PAGE = """# Does a flag name what is wrong?

Of {named_first} flagged scans the reason named first fits the fault in {reasons}; of {flagged} with a suggestion that
fits in {actions}.

{weak}

## What was done

Faults are put into two scans of the test split one at a time ({scans}): the
damage of `stress.md`, heads upside down, anatomy compared at a pose 15 or 30 mm off or turned by 40 degrees, dark
lesions of {radii} mm radius painted into white matter (`pipelines.mixture`), and volumes that are no brain. For the
reason, though not for the suggestion, {others} damaged scans of the tune and test splits are counted too, on which
`docs/benchmarks/gate.md` rests. Model: {bundle}, as judged by the operating point that is shipped now.{refuses}

The reason named first is the signal with the largest part of the score, or a rule outside it, such as a scan that looks
most like one not assessable. The suggestion is one of five: rescan, choose another series, check the registration, edit
slices a to b, second reader. What fits a fault stands in `pipelines/bench/explain_cases.py`.

![Injected fault against the reason named first and against the suggestion; outlined is what fits](explain.png)

{faults}
The same, scan by scan: how often each fault got each answer, in bold what fits it.

{matrices}
The weights of the score are fitted to find failures, not to name them: a signal that rises with many faults, such as
the distance from training, is named first where a more telling one has a small weight. The other reasons of a flag
stand below the first, each with its part.

## Everywhere, or in one place

Conflict with anatomy is looked at in 10 mm patches. The misfit is the share of the brain whose patches anatomy at
this pose explains worse than at an unknown one. From {threshold} on the gate calls it global and suggests to check
the registration; below, it suggests to edit the slices that the worst place reaches. {misfit} ## The slices to edit

Lesions and voids lie on slices that are known. Suggested are the slices that the worst patch of conflict reaches, with
all around it that is half as bad; where these are more than a third of the brain's, a second reader. So they say where
the doubt is; that need not be where the lesion is. Lesions 1, 2 and 3
have radii of {radii} mm. What the network calls lesion is no conflict with healthy anatomy, by construction, so a
lesion that is found is not flagged for it: `docs/benchmarks/gate.md` counts those that are missed.

{slices}
"""

BENCH = Bench(name="explain", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
