"""The bars that were set for the real scans, what is reached, and what would move it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from pipelines.bench.lesions import DETECTED
from pipelines.bench.other_tools import TRIVIAL
from pipelines.bench.page import Results, figure, table
from pipelines.bench.segmentation_cases import CONFLICT, ENTROPY, GATE
from pipelines.bench.segmentation_text import MOVES
from pipelines.compare import GRADED
from pipelines.metrics import BOOTSTRAPS, FEWEST, spearman, subject_interval
from triage.anatomy import structure_name

BAND_ECE, ERROR_AUROC, LESION_DICE, RHO = 0.05, 0.95, 0.5, 0.7
BY_FAR = 0.05
"""Dice by which the trivial baseline has to be beaten: the bar was set in words, "by far"."""
PASSES, MANY_PASSES, MANY = 1.3, 2.0, 10_000
OASIS_BARS: Mapping[str, float] = {
    "cortical_grey": 0.88,
    "cerebral_white": 0.92,
    "deep_grey": 0.87,
    "hippocampus_amygdala": 0.81,
    "lateral_ventricles": 0.89,
    "cerebellar_grey": 0.92,
    "cerebellar_white": 0.86,
    "brainstem": 0.92,
}
IXI_BARS: Mapping[str, float] = {"grey_matter": 0.88, "white_matter": 0.92, "ventricles": 0.88}
NAMES: Mapping[str, str] = {key: structure_name(number) for key, number in GRADED.items()} | {
    "grey_matter": "Grey matter",
    "white_matter": "White matter",
    "ventricles": "Ventricles",
}
TISSUES: Mapping[str, str] = {
    "grey_matter": "grey",
    "white_matter": "white",
    "grey_or_csf": "grey or CSF, in the manual brain",
}
SCORES: Mapping[str, str] = {
    GATE: "the gate's score",
    CONFLICT: "conflict alone, a single signal",
    ENTROPY: "mean entropy alone, a single signal",
}
HEADER = ("", "scans", "bar", "reached", "95 % interval", "", "what would move it")

Rows = Sequence[Mapping[str, Any]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row. scans: how many, and of what. low, high: 95 % interval, NaN without one. move: what would move it."""

    name: str
    scans: str
    bar: str
    reached: float | str
    low: float = float("nan")
    high: float = float("nan")
    met: bool
    move: str = ""

    @property
    def cells(self) -> tuple[object, ...]:
        interval = "" if np.isnan(self.low) else f"{figure(self.low)} to {figure(self.high)}"
        met, move = ("met", "") if self.met else ("**not met**", self.move)
        return self.name, self.scans, self.bar, self.reached, interval, met, move


def bars_table(results: Results, cost: Mapping[str, float]) -> str:
    """Every bar, met or not. cost: see `cost_bars`."""
    return table(HEADER, [bar.cells for bar in bars(results, cost)])


def bars(results: Results, cost: Mapping[str, float]) -> list[Bar]:
    """In the order of the page."""
    return [
        *dice_bars(results),
        *trivial_bars(results),
        *calibration_bars(results),
        *score_bars(results["cases"]),
        *cost_bars(cost),
    ]


def dice_bars(results: Results) -> Iterator[Bar]:
    """Of structures, tissues and lesions."""
    for key, bar in OASIS_BARS.items():
        yield _mean_bar(f"Dice, {NAMES[key]}", "OASIS", _column(results["oasis"], "dice", key), bar, MOVES.get(key, ""))
    for key, bar in IXI_BARS.items():
        yield _mean_bar(f"Dice, {NAMES[key]}", "IXI", _column(results["ixi"], "dice", key), bar, MOVES[key])
    elderly = [row for row in results["lesions"] if row["contrast"] == "flair" and row["finding"] != "tumour"]
    yield _mean_bar(
        "Dice, white-matter lesions on FLAIR", "elderly", _column(elderly, "dice"), LESION_DICE, MOVES["lesions"]
    )
    gliomas = [row for row in results["lesions"] if row["finding"] == "tumour"]
    found = sum(row["jaccard"] >= DETECTED for row in gliomas)
    patients = {row["case"].split(".")[0] for row in gliomas}
    yield Bar(
        name="gliomas found, FLAIR and T1c",
        scans=f"{len(gliomas)} BraTS images of {len(patients)} patients",
        bar="all",
        reached=str(found),
        met=found == len(gliomas),
    )


def trivial_bars(results: Results) -> Iterator[Bar]:
    """What a Gaussian mixture of three intensities loses against this network, on the same scans."""
    this = {row["case"]: row["tissues"] for row in results["oasis"]}
    own = [row for row in results["tools"] if row["tool"] == TRIVIAL]
    for key, move in (("grey_matter", ""), ("white_matter", "trivial white"), ("grey_or_csf", "trivial csf")):
        gains = [this[row["case"]][key] - row[key] for row in own]
        name = f"Dice, {TISSUES[key]}: this network less the Gaussian mixture"
        yield _mean_bar(name, "OASIS, paired", gains, BY_FAR, MOVES.get(move, ""))


def calibration_bars(results: Results) -> Iterator[Bar]:
    """ECE of the worst structure, and how well entropy finds wrong voxels."""
    for name in ("oasis", "ixi"):
        key, worst = max(results["calibration"][name].items(), key=lambda item: float(item[1]["ece"]))
        ece = float(worst["ece"])
        within = sum(one["ece"] <= BAND_ECE for one in results["calibration"][name].values())
        yield Bar(
            name=f"ECE in the boundary band, worst of {len(GRADED)} structures ({NAMES[key]}); {within} within the bar",
            scans=f"{len(results[name])} {name.upper()}",
            bar=f"&le; {figure(BAND_ECE, 2)}",
            reached=ece,
            met=ece <= BAND_ECE,
            move=MOVES["ece"],
        )
    for where, text in (("image", "whole image"), ("brain", "brain and 2 mm around")):
        values = _column(results["oasis"], "error_auroc", where)
        yield _mean_bar(f"AUROC of entropy for a wrong voxel, {text}", "OASIS", values, ERROR_AUROC, MOVES["auroc"])


def score_bars(cases: Mapping[str, Rows]) -> Iterator[Bar]:
    """Spearman of the case's score with 1 - Dice: the gate's own, and single signals named as such."""
    test = [row for row in cases["subjects"] if row["split"] == "test"]
    rows: list[tuple[Rows, str, str, str]] = [(test, "test split", name, name) for name in SCORES]
    rows += [(cases["subjects"], "tune and test", GATE, GATE)]
    rows += [(cases["ladder"], "every damage at five levels", name, f"ladder {name}") for name in (GATE, CONFLICT)]
    for some, where, name, move in rows:
        rho, low, high = score_correlation(some, name)
        yield Bar(
            name=f"Spearman with 1 - Dice of {SCORES[name]}; {where}",
            scans=counted(some),
            bar=figure(RHO, 2),
            reached=rho,
            low=low,
            high=high,
            met=rho >= RHO,
            move=MOVES[move],
        )


def cost_bars(cost: Mapping[str, float]) -> Iterator[Bar]:
    """samples_passes: of 32 samples; many_models: as many models as the error within MANY_PASSES is worth."""
    where = "1 OASIS"
    passes, models = cost.get("samples_passes", float("nan")), cost.get("many_models", float("nan"))
    yield Bar(
        name="cost of 32 samples, passes of the mean head",
        scans=where,
        bar=f"&le; {PASSES}",
        reached=f"{passes:.2f}",
        met=passes <= PASSES,
        move=MOVES["passes"],
    )
    yield Bar(
        name=f"models whose error is reached in {MANY_PASSES:.0f} passes",
        scans=where,
        bar=f"{MANY:,}",
        reached=f"{models:,.0f}",
        met=models >= MANY,
        move=MOVES["models"],
    )


def score_correlation(cases: Rows, name: str) -> tuple[float, float, float]:
    """Spearman of a score with 1 - mean Dice, and its 95 % interval over subjects, each with all of its copies."""

    def correlation(subjects: Sequence[Rows]) -> float:
        rows = [row for subject in subjects for row in subject]
        scores = [_score(row["scores"][name]) for row in rows]
        return spearman(np.array(scores), np.array([1 - row["dice"] for row in rows]))

    subjects = [[row for row in cases if row["case"] == case] for case in sorted({row["case"] for row in cases})]
    return correlation(subjects), *_interval(subjects, correlation, n=500)


def counted(cases: Rows) -> str:
    """Cases and subjects, in words."""
    return f"{len(cases)} cases of {len({row['case'] for row in cases})} subjects"


def _score(written: float | None) -> float:
    """JSON has no infinity: a score that could not be told is the worst."""
    return float("inf") if written is None else float(written)


def _mean_bar(name: str, where: str, values: Sequence[float], bar: float, move: str) -> Bar:
    mean = float(np.mean(values)) if values else float("nan")
    low, high = _interval(values, lambda some: float(np.mean(some)))
    return Bar(
        name=name,
        scans=f"{len(values)} {where}",
        bar=figure(bar, 2),
        reached=mean,
        low=low,
        high=high,
        met=mean >= bar,
        move=move,
    )


def _interval(
    subjects: Sequence[T], statistic: Callable[[Sequence[T]], float], *, n: int = BOOTSTRAPS
) -> tuple[float, float]:
    """NaN where there are fewer than FEWEST."""
    return subject_interval(subjects, statistic, n=n) if len(subjects) >= FEWEST else (float("nan"), float("nan"))


def _column(rows: Rows, *path: str) -> list[float]:
    """One figure of every row, where it was measured."""
    found = []
    for row in rows:
        value: Any = row
        for key in path:
            value = value[key]
        if value is not None:
            found.append(float(value))
    return found
