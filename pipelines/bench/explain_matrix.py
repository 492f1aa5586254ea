"""Injected faults against what a flag says of them, as a confusion matrix in digits and as a figure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.bench.explain_cases import FAULTS
from pipelines.bench.page import plot, table
from pipelines.stress import Rung
from pipelines.stress_page import named
from triage.gate.wording import WORDING, Action

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACCEPTED, OTHER = "accepted", "a rule"
TITLES = {name: wording.title for name, wording in WORDING.items()}
Said = Callable[[Rung], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One of the two things that a flag says. columns: all that it can be. fits: by fault, those that fit it."""

    title: str
    said: Said
    columns: Sequence[str]
    fits: Mapping[str, frozenset[str]]


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


REASON = Answer(
    title="Reason named first",
    said=first_reason,
    columns=[*TITLES.values(), OTHER, ACCEPTED],
    fits={fault: frozenset(TITLES.get(signal, OTHER) for signal in e.signals) for fault, e in FAULTS.items()},
)
SUGGESTION = Answer(
    title="Suggestion",
    said=suggested,
    columns=[*(action.value for action in Action), OTHER, ACCEPTED],
    fits={fault: frozenset(action.value for action in e.actions) for fault, e in FAULTS.items()},
)


def matrix(rows: Sequence[tuple[str, Rung]], said: Said, columns: Sequence[str]) -> np.ndarray:
    """(faults, columns) counts, faults in the order of FAULTS."""
    counts = Counter((fault, said(rung)) for fault, rung in rows)
    return np.array([[counts[fault, column] for column in columns] for fault in FAULTS])


def counted(rows: Sequence[tuple[str, Rung]], answer: Answer) -> str:
    """The confusion matrix in digits; bold is what fits."""
    counts = matrix(rows, answer.said, answer.columns)
    lines = []
    for fault, own in zip(FAULTS, counts, strict=True):
        pairs = zip(answer.columns, own, strict=True)
        lines.append([named(fault), *(_digits(int(n), column in answer.fits[fault]) for column, n in pairs)])
    return table(["fault", *answer.columns], lines)


def _digits(count: int, fits: bool) -> str:
    shown = str(count) if count or fits else ""
    return f"**{shown}**" if fits else shown


def draw(asked: Sequence[tuple[Answer, Sequence[tuple[str, Rung]]]], path: Path) -> None:
    """Both confusion matrices, coloured by the share of each fault; what fits it is outlined."""
    with plot(path, columns=2, inches=(10.5, 5.4)) as axes:
        for ax, (answer, rows) in zip(axes, asked, strict=True):
            _matrix(ax, rows, answer)
            ax.set_title(answer.title)
        axes[1].tick_params(labelleft=False)


def _matrix(ax: "Axes", rows: Sequence[tuple[str, Rung]], answer: Answer) -> None:
    from matplotlib.patches import Rectangle

    columns, counts = answer.columns, matrix(rows, answer.said, answer.columns)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ax.grid(False)
    for i, fault in enumerate(FAULTS):
        for j, column in enumerate(columns):
            if counts[i, j]:
                colour = "white" if share[i, j] > 0.5 else "black"
                ax.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
            if column in answer.fits[fault]:
                ax.add_patch(
                    Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, edgecolor="#D55E00", linewidth=1.3)
                )
    ax.set_xticks(range(len(columns)), columns, rotation=50, ha="right", fontsize=8)
    ax.set_yticks(range(len(FAULTS)), [named(fault) for fault in FAULTS], fontsize=8)
