"""Waits of the review queue, by formula and simulated: `python -m pipelines.bench.capacity`. Needs the extra `test`."""

from collections.abc import Generator
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from pipelines.bench.page import COLOURS, Bench, Inputs, Results, figure, plot, run, table
from pipelines.plan import CLASSES, make_plan, workload
from pipelines.plan_text import as_text
from pipelines.promises import read_promises
from pipelines.settings import SHIPPED_BUNDLE
from triage.capacity import Team, mean_waits

if TYPE_CHECKING:
    from simpy import Event

MINUTES = 6.0
TEAMS = (1, 2, 4)
BUSY = (0.3, 0.6, 0.8, 0.9)
SITES, CASES = 12, 8000
PAGE = """# Who waits how long for a reviewer

`brain-triage plan` computes waits from a published formula: several reviewers, one queue, the most doubtful case first,
a reading that has begun is finished. It is that of A. Cobham, "Priority assignment in waiting line problems",
Operations Research 2 (1954) 70-76; see also O. Kella and U. Yechiali, "Waiting times in the non-preemptive priority
M/M/c queue", Stochastic Models 1 (1985) 257-262. Class k waits C B / ((1 - s(k - 1)) (1 - s(k))) on average: C is the
probability that all reviewers are busy (Erlang 1917), B the mean time until one of them is free then, and s(k) the
share of their time that class k and those before it take.

Here the same desk is simulated event by event with simpy, with a continuous doubt that orders the queue: {sites}
simulated desks of {cases:,} cases each, the first tenth left out. Readings take {minutes:g} min on average. In brackets
the simulated mean with its 95 % interval.

![Mean wait of each third of the queue against how busy the reviewers are, formula and simulation](capacity.png)

{waits}
Of {total} simulated means, {inside} have a 95 % interval that holds the formula's value. What one third gains by the
order the others lose: the mean over all is that of first come, first served.

## An example

`brain-triage plan --arrivals 60/hour --reviewers 2 --minutes 6 --flagged 0.3`, with the shipped model:

```
{example}
```

## Beside QuCAD

QuCAD of DIDSR (Thompson et al. 2024, Queueing Systems 108, 579-610) asks what triage saves the diseased patient:
it interrupts readings, and its classes are what a device calls positive and negative. That is another desk than this
one, and none of its published values could be had as numbers to compare with. So the formula above, Cobham's, is what
is compared with the simulation. QuCAD's successor multi-QuCAD also has a desk without interruption: for one reader its
formula (Raicu et al. 2023, AppliedMath 3, eq. 21) and ours agree, by test, at its default load of 0.8 and reading time
of 10 min.

`python -m pipelines.bench.capacity`
"""


def measure(inputs: Inputs) -> Results:
    """Formula and simulation of every team at every load; nothing of it depends on data."""
    return {"rows": [_row(reviewers, busy) for reviewers in TEAMS for busy in BUSY]}


def simulated_waits(an_hour: float, team: Team, *, cases: int, seed: int) -> NDArray[np.float64]:
    """Mean minutes that the thirds by doubt wait, the most doubtful first; the first tenth of cases is left out."""
    import simpy

    rng = np.random.default_rng(seed)
    place, gaps = rng.random(cases), rng.exponential(60 / an_hour, cases)
    readings, waits = rng.exponential(team.minutes, cases), np.zeros(cases)
    world = simpy.Environment()
    desk = simpy.PriorityResource(world, capacity=team.reviewers)

    def read(case: int) -> Generator["Event", Any, None]:
        arrived = world.now
        with desk.request(priority=place[case]) as turn:  # the smallest is served first
            yield turn
            waits[case] = world.now - arrived
            yield world.timeout(readings[case])

    def arrive() -> Generator["Event", Any, None]:
        for case in range(cases):
            yield world.timeout(gaps[case])
            world.process(read(case))

    world.process(arrive())
    world.run()
    settled = np.arange(cases) >= cases // 10
    thirds = (len(CLASSES) * place).astype(int)
    return np.array([waits[settled & (thirds == k)].mean() for k in range(len(CLASSES))])


def _row(reviewers: int, busy: float) -> dict[str, Any]:
    team = Team(reviewers=reviewers, minutes=MINUTES)
    an_hour = busy * reviewers * 60 / MINUTES
    seeds = (1000 * reviewers + round(100 * busy) * 10_000 + site for site in range(SITES))
    runs = np.array([simulated_waits(an_hour, team, cases=CASES, seed=seed) for seed in seeds])
    half = student.ppf(0.975, SITES - 1) * runs.std(axis=0, ddof=1) / SITES**0.5
    return {
        "reviewers": reviewers,
        "busy": busy,
        "formula": mean_waits([an_hour / len(CLASSES)] * len(CLASSES), team),
        "simulated": runs.mean(axis=0).tolist(),
        "half_width": half.tolist(),
    }


def write(results: Results, folder: Path) -> str:
    """Table, plot and text."""
    rows = results["rows"]
    draw(rows, folder / "capacity.png")
    triples = [v for row in rows for v in zip(row["formula"], row["simulated"], row["half_width"], strict=True)]
    cells = [(row["reviewers"], f"{row['busy']:.0%}", *(_cell(row, k) for k in range(len(CLASSES)))) for row in rows]
    return PAGE.format(
        sites=SITES,
        cases=CASES,
        minutes=MINUTES,
        waits=table(("reviewers", "busy", *(f"{name}, min" for name in CLASSES)), cells),
        total=len(triples),
        inside=sum(abs(formula - simulated) <= half for formula, simulated, half in triples),
        example="\n".join(fill(line, 118, subsequent_indent="  ") for line in example().splitlines()),
    )


def example() -> str:
    """What the command of the page prints now, with the promise of the shipped operating point."""
    site = workload("60/hour", 8.0, reviewers=2, minutes=6.0, blind=0.02, flagged=0.3)
    return as_text(make_plan(site, read_promises(SHIPPED_BUNDLE), risk=None))


def draw(rows: list[Results], path: Path) -> None:
    """A panel a team: lines of the formula, points of the simulation with their intervals."""
    with plot(path, columns=len(TEAMS), inches=(9.0, 3.3)) as panels:
        for axes, reviewers in zip(panels, TEAMS, strict=True):
            team, busy = Team(reviewers=reviewers, minutes=MINUTES), np.linspace(0.1, 0.95, 60)
            each = 10 * reviewers * busy / len(CLASSES)
            lines = np.array([mean_waits([rate] * len(CLASSES), team) for rate in each])
            own = [row for row in rows if row["reviewers"] == reviewers]
            for k, name in enumerate(CLASSES):
                axes.semilogy(busy, lines[:, k], color=COLOURS[k], label=name)
                axes.errorbar(
                    [row["busy"] for row in own],
                    [row["simulated"][k] for row in own],
                    [row["half_width"][k] for row in own],
                    fmt="o",
                    markersize=3.5,
                    color=COLOURS[k],
                )
            axes.set(title=f"{reviewers} reviewer{'s' if reviewers > 1 else ''}", xlabel="share of time busy")
            axes.set_ylim(0.01, 200)
        panels[0].set_ylabel("mean wait, min")
        panels[0].legend(fontsize=7.5)


def _cell(row: Results, k: int) -> str:
    return f"{figure(row['formula'][k], 2)} ({figure(row['simulated'][k], 2)} ± {figure(row['half_width'][k], 2)})"


BENCH = Bench(name="capacity", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
