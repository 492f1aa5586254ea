"""What the rule of promotion lets through: chances of its verdict over simulated comparisons whose truth is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bench.page import COLOURS, Bench, Inputs, Results, figure, plot, run, table
from pipelines.paired import ALL, FEWEST_SUBJECTS, MEASURES, Examined, Standing, difference

SUBJECTS = (10, 20, 30, 60)
COMPARISONS = 200
BOOTSTRAPS = 400
DICE_SD = 0.01
"""Between subjects, of the difference in Dice between two models."""
FLIPS = 0.02
"""Share of cases that only the one, and that only the other model accepts, when they are equal."""
LEAVE = (Standing.BETTER, Standing.NOT_WORSE)

Pairs = Sequence[tuple[Examined, Examined]]


def dice_pairs(n: int, gain: float, rng: np.random.Generator) -> Pairs:
    """n heads; the challenger gains so much Dice in the mean."""
    live = rng.uniform(0.7, 0.95, n)
    return [
        _pair(k, dice=(a, b)) for k, (a, b) in enumerate(zip(live, live + rng.normal(gain, DICE_SD, n), strict=True))
    ]


def coverage_pairs(n: int, gain: float, rng: np.random.Generator) -> Pairs:
    """n cases; the challenger accepts so many more, less a few that change sides by chance."""
    draw = rng.uniform(size=n)
    lost, won = draw < FLIPS - min(gain, 0), draw > 1 - FLIPS - max(gain, 0)
    sides = [(True, not a) if a or not b else (False, True) for a, b in zip(lost, won, strict=True)]
    return [_pair(k, accepted=side) for k, side in enumerate(sides)]


SCENARIOS: Mapping[str, Callable[[int, float, np.random.Generator], Pairs]] = {
    "dice": dice_pairs,
    "coverage": coverage_pairs,
}


def measure(_: Inputs) -> Results:
    """For each measure, true gain and number of subjects: how often the challenger gets leave, and is called worse."""
    return {"rows": list(_rows())}


def _rows() -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    for name, pairs in SCENARIOS.items():
        for gain in (-MEASURES[name].margin, 0.0):
            for n in SUBJECTS:
                drawn = (difference(ALL, name, pairs(n, gain, rng), bootstraps=BOOTSTRAPS) for _ in range(COMPARISONS))
                standings = [one.standing for one in drawn if one is not None]
                leave, worse = (float(np.mean([s in kinds for s in standings])) for kinds in (LEAVE, (Standing.WORSE,)))
                yield {"measure": name, "gain": gain, "subjects": n, "leave": leave, "worse": worse}


def write(results: Results, folder: Path) -> str:
    """The page, and one plot."""
    rows = results["rows"]
    _draw(rows, folder)
    return PAGE.format(
        comparisons=COMPARISONS,
        fewest=FEWEST_SUBJECTS,
        sd=figure(DICE_SD, 2),
        flips=f"{FLIPS:.0%}",
        table=table(
            ["measure", "true gain", *(f"{n} subjects" for n in SUBJECTS)],
            [
                [MEASURES[name].title, figure(gain, 2), *(f"{_at(rows, name, gain, n):.1%}" for n in SUBJECTS)]
                for name in SCENARIOS
                for gain in sorted({row["gain"] for row in rows if row["measure"] == name})
            ],
        ),
    )


PAGE = """# What the rule of promotion lets through

[A challenger](../promotion.md) gets leave when every measure is better or not worse. Here the truth is known:
{comparisons} simulated comparisons a cell, each judged by the very code of `brain-triage challenge`. The share that
gets leave by one measure:

{table}
A challenger that truly lost its margin (the first row of each measure) should get leave in 2.5 % of comparisons,
since the interval is one of 95 %; a percentile interval over few subjects is narrower than it says. One that lost
nothing should get leave always, as soon as there are subjects enough to show it.

![Share that gets leave, by number of subjects](challenge.png)

The Dice of a subject differs by {sd} (SD) between the two models, about which the rule is told nothing; {flips} of the
cases change sides either way by chance, beside the true loss of coverage. With under {fewest} subjects there is no
leave at all.

`python -m pipelines.bench.challenge`
"""


def _draw(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    with plot(folder / "challenge.png", columns=2, inches=(8, 3.2)) as axes:
        for axis, name in zip(axes, SCENARIOS, strict=True):
            gains = sorted({row["gain"] for row in rows if row["measure"] == name})
            for gain, colour in zip(gains, COLOURS, strict=False):
                shares = [_at(rows, name, gain, n) for n in SUBJECTS]
                axis.plot(SUBJECTS, shares, "o-", color=colour, label=f"true gain {figure(gain, 2)}")
            axis.axhline(0.025, color="black", linewidth=0.8, linestyle=":")
            axis.set(title=MEASURES[name].title, xlabel="subjects", ylabel="share that gets leave", ylim=(-0.03, 1.03))
            axis.legend(loc="center right", fontsize=8)


def _at(rows: Sequence[Mapping[str, Any]], name: str, gain: float, n: int) -> float:
    (found,) = (r["leave"] for r in rows if (r["measure"], r["gain"], r["subjects"]) == (name, gain, n))
    return float(found)


def _pair(
    k: int, *, dice: tuple[float, float] = (np.nan, np.nan), accepted: tuple[bool | None, bool | None] = (None, None)
) -> tuple[Examined, Examined]:
    live, challenger = (
        Examined(case=str(k), subject=str(k), groups={}, dice=float(d), counts=None, score=0.0, accepted=a)
        for d, a in zip(dice, accepted, strict=True)
    )
    return live, challenger


BENCH = Bench(name="challenge", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
