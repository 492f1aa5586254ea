"""The page of `pipelines.bench.gate`: its figures of merit, tables and plot."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bench.doubt_text import wrapped
from pipelines.bench.gate_figures import Rows, at_best, caught, caught_at, losses, values, with_lesions
from pipelines.bench.gate_text import PAGE
from pipelines.bench.page import Results, bar_line, figure, plot, table
from pipelines.certificate_text import group_table, habits_table, level_table
from pipelines.metrics import augrc, aurc, subject_interval

PLOT = "gate.png"
SCORES: Mapping[str, str] = {
    "gate": "the gate's score",
    "entropy_brain": "mean entropy of the brain",
    "softmax_array": "softmax entropy, whole array",
}
NOTHING_CERTIFIED: Mapping[str, Any] = {
    "levels": (),
    "lesion_levels": (),
    "groups": (),
    "splits": {},
    "failed": {"by_labels": {}},
}
Merit = Callable[[NDArray[np.float64], NDArray[np.float64]], float]
CAUGHT, FLAGGED, COVERAGE = 0.9, 0.2, 0.8


def write(results: Results, folder: Path) -> str:
    """The page, with its plot."""
    rows = [one for one in results["cases"] if not one["refused"]]
    test = [one for one in rows if one["split"] == "test"]
    pathology = [one for one in rows if one["split"] == "pathology"]
    draw_curves(rows, folder / PLOT)
    certified = results["evaluation"] or NOTHING_CERTIFIED
    page = PAGE.format(
        bundle=results["bundle"],
        promise=results["promise"],
        mixture=results["mixture"],
        n=len(rows),
        n_test=len(test),
        n_pathology=len(pathology),
        n_clean=len(results["clean"]),
        n_calibrate=certified["splits"].get("calibrate", {}).get("subjects", 0),
        other_ages=sum(not one["of_age"] for one in rows),
        refused=sum(bool(one["refused"]) for one in results["cases"]),
        bad=int(losses(test).sum()),
        flagged=f"{FLAGGED:.0%}",
        at_best=f"{at_best(test, FLAGGED):.0%}",
        at_best_all=f"{at_best(rows, FLAGGED):.0%}",
        bad_clean=int(losses(results["clean"]).sum()),
        bad_pathology=int(losses(pathology).sum()),
        cerebellum=sum(any("cerebellar grey: volume" in why for why in one["failed"]) for one in pathology),
        bars=_bars(results, rows, test),
        levels=level_table(certified["levels"]),
        lesion_levels=level_table(certified["lesion_levels"]),
        groups=group_table(certified["groups"]),
        n_groups=len(certified["groups"]),
        habits=habits_table(certified["failed"]["by_labels"]),
        scores=_scores(rows, test),
        splits=_splits({"test": test, "pathology": pathology}),
        damages=_damages(rows),
        missed=_missed(rows),
        plot=PLOT,
    )
    return wrapped(page)


def draw_curves(rows: Rows, path: Path) -> None:
    """Risk against coverage, and failures caught against cases flagged."""
    with plot(path, columns=2, inches=(8.0, 3.5)) as (left, right):
        for name, label in SCORES.items():
            order = np.argsort(values(rows, name), kind="stable")
            bad = losses(rows)[order]
            covered = np.arange(1, len(bad) + 1)
            left.plot(100 * covered / len(bad), 100 * np.cumsum(bad) / covered, label=label)
            shares, found = caught(rows, name)
            right.plot(100 * shares, 100 * found)
        accepted = np.array([one["accepted"] for one in rows])
        if accepted.any():
            bad = losses(rows)
            left.plot(100 * accepted.mean(), 100 * bad[accepted].mean(), "o", color="black", label="the limit")
            right.plot(100 * (~accepted).mean(), 100 * bad[~accepted].sum() / max(1, bad.sum()), "o", color="black")
        right.plot([0, 100], [0, 100], color="#999999", linewidth=0.8, linestyle=":")
        bar_line(right, 100 * CAUGHT, "bar")
        left.set_xlabel("accepted, % of cases")
        left.set_ylabel("failed among accepted, %")
        left.set_title("Risk against coverage")
        right.set_xlabel("flagged, % of cases")
        right.set_ylabel("failures caught, %")
        right.set_title("Failures caught")
        left.figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _bars(results: Results, rows: Rows, test: Rows) -> str:
    clean = [one for one in results["clean"] if not one["refused"]]
    adults = {"": clean, " of the ages it speaks for": [one for one in clean if one["of_age"]]}
    lines: list[list[object]] = []
    for which, some in adults.items():
        coverage = [float(one["accepted"]) for one in some]
        name, met = f"clean adult scans accepted{which}", _met(np.mean(coverage) >= COVERAGE)
        lines.append([name, len(some), f"{COVERAGE:.0%}", *_share(coverage), met])
    asked = {"test": test, "test and pathology": rows}
    asked |= {f"{split}, missed lesions counted": with_lesions(own) for split, own in asked.items()}
    for split, own in asked.items():
        share = caught_at(own, "gate", FLAGGED)
        bounds = subject_interval(_by_subject(own), lambda s: caught_at(_flat(s), "gate", FLAGGED))
        name, interval = f"failures caught, {FLAGGED:.0%} flagged, {split}", f"{bounds[0]:.0%} to {bounds[1]:.0%}"
        lines.append([name, int(losses(own).sum()), f"{CAUGHT:.0%}", f"{share:.0%}", interval, _met(share >= CAUGHT)])
    for (split, own), merit in product({"test": test, "test and pathology": rows}.items(), (aurc, augrc)):
        for other in (name for name in SCORES if name != "gate"):
            difference, low, high = _gain(own, merit, other)
            name = f"{merit.__name__.upper()} below that of {SCORES[other]}, {split}"
            lines.append([name, len(own), "over 0", difference, f"{figure(low)} to {figure(high)}", _met(low > 0)])
    return table(["bar", "cases", "asked", "found", "95 % interval", ""], lines)


def _gain(rows: Rows, merit: Merit, other: str) -> tuple[float, float, float]:
    """How much lower a figure of merit is for the gate than for another score, and its 95 % interval."""

    def of(subjects: Sequence[Rows]) -> float:
        own = _flat(subjects)
        return merit(values(own, other), losses(own)) - merit(values(own, "gate"), losses(own))

    subjects = _by_subject(rows)
    return of(subjects), *subject_interval(subjects, of)


def _scores(rows: Rows, test: Rows) -> str:
    columns = [(own, merit) for own in (rows, test) for merit in (aurc, augrc)]
    lines = [[label, *(_with_interval(own, merit, name) for own, merit in columns)] for name, label in SCORES.items()]
    return table(["score", "AURC, all", "AUGRC, all", "AURC, test", "AUGRC, test"], lines)


def _with_interval(rows: Rows, merit: Merit, name: str) -> str:
    def of(subjects: Sequence[Rows]) -> float:
        own = _flat(subjects)
        return merit(values(own, name), losses(own))

    subjects = _by_subject(rows)
    low, high = subject_interval(subjects, of)
    return f"{figure(of(subjects))} ({figure(low)} to {figure(high)})"


def _splits(splits: Mapping[str, Rows]) -> str:
    lines = []
    for name, own in splits.items():
        accepted, bad = np.array([one["accepted"] for one in own], bool), losses(own) > 0
        counts = (accepted, accepted & bad, bad, bad & ~accepted)
        lines.append([name, len(own), *(int(mask.sum()) for mask in counts)])
    return table(["split", "cases", "accepted", "of these failed", "failures", "flagged of them"], lines)


def _damages(rows: Rows) -> str:
    kinds = sorted({one["damage"].rpartition(" ")[0] if one["damage"] != "as it is" else "as it is" for one in rows})
    lines = []
    for kind in kinds:
        own = [one for one in rows if one["damage"].startswith(kind)]
        accepted, bad = np.array([one["accepted"] for one in own], bool), losses(own) > 0
        counts = (accepted, bad, accepted & bad)
        lines.append([kind.replace("_", " "), len(own), *(int(mask.sum()) for mask in counts)])
    return table(["damage", "cases", "accepted", "failed", "accepted and failed"], lines)


def _missed(rows: Rows) -> str:
    found = [one for one in rows if one["accepted"] and one["failed"]]
    if not found:
        return "No accepted case failed.\n"
    return table(
        ["accepted, but failed", "damage", "score", "why"],
        [[one["case"], one["damage"].replace("_", " "), one["gate"], "; ".join(one["failed"])] for one in found],
    )


def _by_subject(rows: Rows) -> list[Rows]:
    return [[one for one in rows if one["subject"] == subject] for subject in dict.fromkeys(r["subject"] for r in rows)]


def _flat(subjects: Sequence[Rows]) -> Rows:
    return [one for own in subjects for one in own]


def _share(seen: Sequence[float]) -> tuple[str, str]:
    low, high = subject_interval(seen, lambda s: float(np.mean(s)))
    return f"{np.mean(seen):.0%}", f"{low:.0%} to {high:.0%}"


def _met(met: bool | np.bool_) -> str:
    return "met" if met else "**not met**"
