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
from pipelines.bench.explain_cases import FAULTS, FOCAL, GLOBAL, LEVELS, RADIUS_MM, measured
from pipelines.bench.page import Bench, Inputs, Results, plot, run, table
from pipelines.bench.stress_rows import SCANS, Row, judged, refuses
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
    bundle = load_engine(inputs.bundle).bundle
    return {"bundle": f"{bundle.name} {bundle.version}", "rows": measured(inputs)}


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
    rows = [(row["fault"], judged(row, point)) for row in results["rows"]]
    _draw(rows, folder / PLOT)
    flagged = [(fault, rung) for fault, rung in rows if not rung.accepted]
    reasons = sum(rung.reasons[0] in FAULTS[fault].signals for fault, rung in flagged)
    actions = sum(suggested(rung) in FAULTS[fault].actions for fault, rung in flagged)
    page = PAGE.format(
        bundle=results["bundle"],
        refuses=refuses(point),
        scans=" and ".join(SCANS),
        levels=" and ".join(map(str, LEVELS)),
        radii=", ".join(f"{radius:g}" for radius in RADIUS_MM),
        n=len(rows),
        flagged=len(flagged),
        reasons=reasons,
        actions=actions,
        reason_share=f"{reasons / len(flagged):.0%}",
        action_share=f"{actions / len(flagged):.0%}",
        faults=_faults(rows),
        misfit=_misfit(results["rows"]),
        threshold=GLOBAL_MISFIT,
        lesions=_lesions(results["rows"], point),
    )
    return wrapped(page)


def _faults(rows: Sequence[tuple[str, Rung]]) -> str:
    lines = []
    for fault, expected in FAULTS.items():
        ours = [rung for name, rung in rows if name == fault]
        flagged = [rung for rung in ours if not rung.accepted]
        right = sum(rung.reasons[0] in expected.signals for rung in flagged)
        done = sum(suggested(rung) in expected.actions for rung in flagged)
        wanted = " or ".join(action.value.lower() for action in Action if action in expected.actions)
        first = Counter(first_reason(rung) for rung in flagged).most_common(1)
        lines.append([named(fault), len(ours), len(flagged), right, first[0][0] if first else "-", wanted, done])
    header = ["fault", "scans", "flagged", "reason fits", "named most often", "suggestion that fits", "suggestion fits"]
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
        f"\n\n{table(['fault', 'least', 'median', 'most'], lines)}"
    )


def _lesions(rows: Sequence[Row], point: OperatingPoint) -> str:
    """Of each painted lesion: whether it was flagged, and whether the slices to edit are its own."""
    lines = []
    for row in (row for row in rows if row["fault"] == "lesion"):
        rung, (first, last) = judged(row, point), row["slices"]
        focal = row["suggestions"]["focal_conflict"]
        inside = overlap(focal, first, last)
        lines.append(
            [
                rung.case,
                row["radius_mm"],
                rung.score / rung.limit,
                rung.route.replace("_", " "),
                f"{first} to {last}",
                focal.partition(":")[0],
                inside,
            ]
        )
    return table(
        ["scan", "radius, mm", "score / limit", "route", "its slices", "suggested for local anatomy", "overlap"], lines
    )


def overlap(suggestion: str, first: int, last: int) -> str:
    """Share of the lesion's slices that the suggestion names."""
    numbers = [int(n) for n in re.findall(r"[0-9]+", suggestion.partition(":")[0])]
    if len(numbers) != 2:
        return "-"
    both = min(last, numbers[1]) - max(first, numbers[0]) + 1
    return f"{max(0, both) / (last - first + 1):.0%}"


def _draw(rows: Sequence[tuple[str, Rung]], path: Path) -> None:
    """Both confusion matrices, shares of each fault; what was expected is outlined."""
    titles = [wording.title for wording in WORDING.values()]
    reasons = (
        [*titles, OTHER, ACCEPTED],
        {f: {WORDING[s].title for s in e.signals if s in WORDING} for f, e in FAULTS.items()},
    )
    actions = (
        [*(a.value for a in Action), OTHER, ACCEPTED],
        {f: {a.value for a in e.actions} for f, e in FAULTS.items()},
    )
    with plot(path, columns=2, inches=(10.5, 5.4)) as axes:
        for ax, said, (columns, expected), title in zip(
            axes, (first_reason, suggested), (reasons, actions), ("Reason named first", "Suggestion"), strict=True
        ):
            _matrix(ax, matrix(rows, said, columns), columns, expected)
            ax.set_title(title)
        axes[1].tick_params(labelleft=False)


def _matrix(ax: "Axes", counts: np.ndarray, columns: Sequence[str], expected: Mapping[str, set[str]]) -> None:
    from matplotlib.patches import Rectangle

    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.grid(False)
    for i, fault in enumerate(FAULTS):
        for j, column in enumerate(columns):
            if counts[i, j]:
                colour = "white" if share[i, j] > 0.5 else "black"
                ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
            if column in expected[fault]:
                ax.add_patch(
                    Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor="#D55E00", linewidth=1.3)
                )
    ax.set_xticks(range(len(columns)), columns, rotation=50, ha="right", fontsize=8)
    ax.set_yticks(range(len(FAULTS)), [named(fault) for fault in FAULTS], fontsize=8)


PAGE = """# Does a flag name what is wrong?

Faults are put into two scans of the test split one at a time ({scans}): damage of levels {levels}
(`pipelines.degrade`), heads upside down, anatomy compared at a pose 15 or 30 mm off or turned by 40 degrees, dark
lesions of {radii} mm radius painted into white matter (`pipelines.mixture`), and volumes that are no brain. Model:
{bundle}, as judged by the operating point that is shipped now.{refuses}

The reason named first is the signal with the largest part of the score, or a rule outside it. The suggestion is one
of five: rescan, choose another series, check the registration, edit slices a to b, second reader.

![Injected fault against the reason named first and against the suggestion; outlined is what fits](explain.png)

Of {n} scans {flagged} are flagged. Of these the reason named first fits the fault in {reasons} ({reason_share}), and
the suggestion in {actions} ({action_share}). What fits a fault stands in `pipelines/bench/explain_cases.py`; a reason
outside the score, such as a scan that looks most like one not assessable, is "a rule".

{faults}
## Everywhere, or in one place

Conflict with anatomy is looked at in 10 mm patches. The misfit is the share of the brain whose patches anatomy at
this pose explains worse than at an unknown one. From {threshold} on the gate calls it global and suggests to check
the registration; below, it suggests to edit the slices that the worst place reaches. {misfit} ## The slices to edit

Lesions are painted; their slices are known. Suggested are the slices that the worst patch of conflict reaches, with
all around it that is half as bad; a lesion too mild to be the worst place of the brain is missed by them.

{lesions}
"""

BENCH = Bench(name="explain", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
