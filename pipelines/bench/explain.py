"""Does a flag name what is wrong? Faults put into scans, against the reason named first and what is suggested.

python -m pipelines.bench.explain --data ../shared/data --cache CACHE
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.bench.doubt_text import wrapped
from pipelines.bench.explain_cases import FAULTS, FOCAL, GLOBAL, RADIUS_MM, measured
from pipelines.bench.page import Bench, Inputs, Results, plot, run, table
from pipelines.bench.stress_rows import SCANS, Row, judged, refuses, scored
from pipelines.engine import load_engine
from pipelines.settings import SHIPPED_BUNDLE
from pipelines.stress import Rung
from pipelines.stress_page import named
from triage.gate.interpretation import GLOBAL_MISFIT
from triage.gate.operating_point import FILE, OperatingPoint, read_operating_point
from triage.gate.wording import WORDING, Action

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT = "explain.png"
ACCEPTED, OTHER = "accepted", "a rule"
Said = Callable[[Rung], str]


def measure(inputs: Inputs) -> Results:
    """A row a fault."""
    engine = load_engine(inputs.bundle)
    name = f"{engine.bundle.name} {engine.bundle.version}"
    return {"bundle": name, "rows": measured(inputs), "scored": damaged_ones(scored(inputs, engine))}


def damaged_ones(rows: Sequence[Row]) -> list[Row]:
    """With their damage as the fault."""
    return [{"fault": row["rung"]["kind"]} | row for row in rows if row["rung"]["level"]]


def first_reason(rung: Rung) -> str:
    """Title of the signal named first; ACCEPTED without any, OTHER for what stands outside the score."""
    if rung.accepted:
        return ACCEPTED
    return WORDING[rung.reasons[0]].title if rung.reasons[0] in WORDING else OTHER


def suggested(rung: Rung) -> str:
    """Which of the five actions the suggestion is; OTHER for an image that was refused."""
    if rung.accepted:
        return ACCEPTED
    return next((action.value for action in Action if rung.action.startswith(action)), OTHER)


def matrix(rows: Sequence[tuple[str, Rung]], said: Said, columns: Sequence[str]) -> np.ndarray:
    """(faults, columns) counts, faults in the order of FAULTS."""
    counts = Counter((fault, said(rung)) for fault, rung in rows)
    return np.array([[counts[fault, column] for column in columns] for fault in FAULTS])


def write(results: Results, folder: Path) -> str:
    """The page and its figure, judged by the operating point that is shipped now."""
    point = read_operating_point(SHIPPED_BUNDLE / FILE)
    rows, others = ([(row["fault"], judged(row, point)) for row in results[name]] for name in ("rows", "scored"))
    _draw(rows, [*rows, *others], folder / PLOT)
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
        told = [f"{first} to {last}", focal.partition(":")[0], overlap(focal, first, last)]
        lines.append([rung.case, what, rung.score / rung.limit, rung.route.replace("_", " "), *told])
    header = ["scan", "fault", "score / limit", "route", "its slices", "suggested for local anatomy", "of its slices"]
    return table(header, lines)


def overlap(suggestion: str, first: int, last: int) -> str:
    """Share of the lesion's slices that the suggestion names."""
    numbers = [int(n) for n in re.findall(r"[0-9]+", suggestion.partition(":")[0])]
    if len(numbers) != 2:
        return "-"
    both = min(last, numbers[1]) - max(first, numbers[0]) + 1
    return f"{max(0, both) / (last - first + 1):.0%}"


def _draw(rows: Sequence[tuple[str, Rung]], every: Sequence[tuple[str, Rung]], path: Path) -> None:
    """Both confusion matrices, coloured by the share of each fault; what fits it is outlined."""
    titles = {name: wording.title for name, wording in WORDING.items()}
    signals = {f: {titles.get(signal, OTHER) for signal in e.signals} for f, e in FAULTS.items()}
    actions = {f: {action.value for action in e.actions} for f, e in FAULTS.items()}
    with plot(path, columns=2, inches=(10.5, 5.4)) as axes:
        _matrix(axes[0], every, first_reason, [*titles.values(), OTHER, ACCEPTED], signals)
        _matrix(axes[1], rows, suggested, [*(action.value for action in Action), OTHER, ACCEPTED], actions)
        axes[0].set_title("Reason named first")
        axes[1].set_title("Suggestion")
        axes[1].tick_params(labelleft=False)


def _matrix(
    ax: "Axes", rows: Sequence[tuple[str, Rung]], said: Said, columns: Sequence[str], fits: Mapping[str, set[str]]
) -> None:
    from matplotlib.patches import Rectangle

    counts = matrix(rows, said, columns)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.grid(False)
    for i, fault in enumerate(FAULTS):
        for j, column in enumerate(columns):
            if counts[i, j]:
                colour = "white" if share[i, j] > 0.5 else "black"
                ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
            if column in fits[fault]:
                ax.add_patch(
                    Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor="#D55E00", linewidth=1.3)
                )
    ax.set_xticks(range(len(columns)), columns, rotation=50, ha="right", fontsize=8)
    ax.set_yticks(range(len(FAULTS)), [named(fault) for fault in FAULTS], fontsize=8)


PAGE = """# Does a flag name what is wrong?

Faults are put into two scans of the test split one at a time ({scans}): the
damage of `stress.md`, heads upside down, anatomy compared at a pose 15 or 30 mm off or turned by 40 degrees, dark
lesions of {radii} mm radius painted into white matter (`pipelines.mixture`), and volumes that are no brain. For the
reason, though not for the suggestion, {others} damaged scans of the tune and test splits are counted too, on which
`docs/benchmarks/gate.md` rests. Model: {bundle}, as judged by the operating point that is shipped now.{refuses}

The reason named first is the signal with the largest part of the score, or a rule outside it, such as a scan that looks
most like one not assessable. The suggestion is one of five: rescan, choose another series, check the registration, edit
slices a to b, second reader. What fits a fault stands in `pipelines/bench/explain_cases.py`.

![Injected fault against the reason named first and against the suggestion; outlined is what fits](explain.png)

Of {named_first} flagged scans the reason named first fits the fault in {reasons}; of {flagged} with a suggestion that
fits in {actions}.

{faults}
The weights of the score are fitted to find failures, not to name them: a signal that rises with many faults, such as
the distance from training, is named first where a more telling one has a small weight. The other reasons of a flag
stand below the first, each with its part.

## Everywhere, or in one place

Conflict with anatomy is looked at in 10 mm patches. The misfit is the share of the brain whose patches anatomy at
this pose explains worse than at an unknown one. From {threshold} on the gate calls it global and suggests to check
the registration; below, it suggests to edit the slices that the worst place reaches. {misfit} ## The slices to edit

Lesions and voids lie on slices that are known. Suggested are the slices that the worst patch of conflict reaches, with
all around it that is half as bad; where these are more than a third of the brain's, a second reader. Lesions 1, 2 and 3
have radii of {radii} mm. What the network calls lesion is no conflict with healthy anatomy, by construction, so a
lesion that is found is not flagged for it: `docs/benchmarks/gate.md` counts those that are missed.

{slices}
"""

BENCH = Bench(name="explain", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
