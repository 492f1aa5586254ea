"""Does the certificate keep its word? Thousands of simulated calibration sets whose true risk is known.

python -m pipelines.bench.promise
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bench.page import Bench, Inputs, Results, bar_line, plot, run, table
from triage.gate.certify import certify, needed

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PLOT = "promise.png"
SETS = 4000
DELTA, RISK = 0.05, 0.1
RISKS = (0.05, 0.1, 0.2)
SIZES = (60, 200, 1000)
SCORES = 300
"""So many scores that know nothing are tried on the calibration cases when the score is chosen there."""
STEP = 0.02
SEED = 0

WORLDS: Mapping[str, Callable[[Floats], Floats]] = {
    "rises with the score": lambda t: 0.4 / 3 * t**2,
    "just too high at every limit": lambda t: np.full_like(t, RISK + 1e-6),
    "low, then a cliff": lambda t: np.where(t <= 0.8, 0.02, 0.02 + 0.6 * (1 - 0.8 / np.maximum(t, 0.8))),
}
"""Share that fails of the cases whose score is at or under t, for scores that are uniform on [0, 1]."""
FAILS: Mapping[str, Callable[[Floats], Floats]] = {
    "rises with the score": lambda s: 0.4 * s**2,
    "just too high at every limit": lambda s: np.full_like(s, RISK + 1e-6),
    "low, then a cliff": lambda s: np.where(s <= 0.8, 0.02, 0.62),
}
"""Probability that a case of this score fails: the risk above is its mean over [0, t]."""


def bounded(score: Floats, failed: Mask, limits: Sequence[float]) -> float | None:
    """What the product does."""
    return certify(score, failed, {RISK: limits}, DELTA)[0].score_limit


def observed(score: Floats, failed: Mask, limits: Sequence[float]) -> float | None:
    """What is often done: the loosest limit at which the observed share of failures is within the risk."""
    within = [t for t in limits if failed[score <= t].mean() <= RISK]
    return within[-1] if within else None


def chosen_here(score: Floats, failed: Mask, limits: Sequence[float]) -> float | None:
    """The planted leak: the score is the one of many, all without knowledge, that looks best on these very cases."""
    rng = np.random.default_rng(int(1e9 * score[0]))
    others = rng.random((SCORES, len(score)))
    return bounded(others[np.argmin((others[:, failed] <= limits[0]).sum(axis=1))], failed, limits)


METHODS: Mapping[str, Callable[[Floats, Mask, Sequence[float]], float | None]] = {
    "certified": bounded,
    "observed share, no bound": observed,
    "certified, but the score chosen here": chosen_here,
}


def limits_for(n: int) -> list[float]:
    """Fixed beforehand: from where enough cases would be accepted, with a fifth to spare, in steps of STEP."""
    start = min(0.9, 1.2 * needed(RISK, DELTA) / n)
    return [float(limit) for limit in np.arange(start, 1 + STEP / 2, STEP).clip(max=1)]


def simulate(world: str, n: int, method: str) -> dict[str, Any]:
    """How often a limit was found, how often its true risk was over the promised one, and what it accepts."""
    rng = np.random.default_rng(SEED)
    limits = limits_for(n)
    sets = SETS if method != "certified, but the score chosen here" else SETS // 10
    found: list[float] = []
    broken = 0
    for _ in range(sets):
        score = rng.random(n)
        failed = rng.random(n) < FAILS[world](score)
        limit = METHODS[method](score, failed, limits)
        if limit is not None:
            leak = method.endswith("here")  # a score that knows nothing leaves the share of failures as it is
            risk = float(WORLDS[world](np.array([1.0 if leak else limit]))[0])
            broken += risk > RISK
            found.append(limit)
    return {
        "world": world,
        "n": n,
        "method": method,
        "sets": sets,
        "certified": len(found) / sets,
        "violations": broken / sets,
        "coverage": float(np.mean(found)) if found else math.nan,
    }


def several(n: int) -> dict[str, Any]:
    """Several levels at once: how often any of them was broken, and each alone."""
    rng = np.random.default_rng(SEED)
    world = "rises with the score"
    limits = dict.fromkeys(RISKS, limits_for(n))
    any_broken, found = 0, dict.fromkeys(RISKS, 0)
    for _ in range(SETS):
        score = rng.random(n)
        failed = rng.random(n) < FAILS[world](score)
        levels = [level for level in certify(score, failed, limits, DELTA) if level.score_limit is not None]
        any_broken += any(float(WORLDS[world](np.array([lv.score_limit]))[0]) > lv.risk for lv in levels)
        for level in levels:
            found[level.risk] += 1
    return {"n": n, "broken": any_broken / SETS, "certified": {str(k): v / SETS for k, v in found.items()}}


def measure(_: Inputs) -> Results:
    """All simulations; nothing is read."""
    rows = [simulate(world, n, method) for world in WORLDS for n in SIZES for method in METHODS]
    return {"rows": rows, "several": [several(n) for n in SIZES]}


def write(results: Results, folder: Path) -> str:
    """The page, with its plot."""
    rows = results["rows"]
    draw(rows, folder / PLOT)
    error = 3 * math.sqrt(DELTA * (1 - DELTA) / SETS)
    worst = max(row["violations"] for row in rows if row["method"] == "certified")
    return PAGE.format(
        sets=SETS,
        leaks=SETS // 10,
        scores=SCORES,
        risk=f"{RISK:.0%}",
        delta=f"{DELTA:.0%}",
        confidence=f"{1 - DELTA:.0%}",
        plot=PLOT,
        worst=f"{worst:.1%}",
        most=f"{DELTA + error:.1%}",
        observed=_range(rows, "observed share, no bound"),
        leaked=_range(rows, "certified, but the score chosen here"),
        kept="holds" if worst <= DELTA + error else "**does not hold**",
        rows=table(
            ["failures", "method", "cases", "sets with a limit", "its mean coverage", "promise broken"],
            [
                [r["world"], r["method"], r["n"], f"{r['certified']:.1%}", r["coverage"], f"{r['violations']:.1%}"]
                for r in rows
            ],
        ),
        several=table(
            ["cases", *(f"{risk:.0%} certified" for risk in RISKS), "any promise broken"],
            [
                [s["n"], *(f"{s['certified'][str(risk)]:.1%}" for risk in RISKS), f"{s['broken']:.1%}"]
                for s in results["several"]
            ],
        ),
        needed=table(
            ["at most failed", *(f"{k} failed" for k in range(4))],
            [[f"{risk:.0%}", *(needed(risk, DELTA, k) for k in range(4))] for risk in (0.2, 0.15, 0.1, 0.05, 0.01)],
        ),
    )


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """How often the promise was broken, by method, world and number of cases."""
    with plot(path, columns=len(WORLDS), inches=(8.2, 3.1)) as axes:
        for one, world in zip(axes, WORLDS, strict=True):
            for method in METHODS:
                own = [row for row in rows if row["world"] == world and row["method"] == method]
                shown = [max(100 * row["violations"], 0.02) for row in own]
                one.plot([str(row["n"]) for row in own], shown, "o-", label=method)
            bar_line(one, 100 * DELTA, "allowed")
            one.set_yscale("log")
            one.set_ylim(0.015, 130)
            one.set_yticks([0.02, 0.1, 1, 5, 20, 100], ["0", "0.1", "1", "5", "20", "100"])
            one.minorticks_off()
            one.set_title(world.capitalize())
            one.set_xlabel("calibration cases")
        axes[0].set_ylabel("promise broken, % of sets")
        handles, names = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(handles, names, loc="outside lower center", ncols=3)


def _range(rows: Sequence[Mapping[str, Any]], method: str) -> str:
    broken = [row["violations"] for row in rows if row["method"] == method]
    return f"{min(broken):.0%} to {max(broken):.0%}"


PAGE = """# The promise, tested

The gate's limit promises: with {confidence} confidence at most {risk} of the accepted cases fail. Here calibration sets
are drawn from worlds whose true risk is known at every limit, and it is counted how often a limit was found that breaks
the promise. {sets} sets a row ({leaks} with the planted leak). By the promise that is at most {delta} of the sets; the
largest share of *certified* is {worst}, and within its binomial error {most} could be seen: the promise {kept}.

![How often the promise was broken]({plot})

{rows}
**Certified** is `triage.gate.certify`: fixed-sequence Learn-then-Test with the exact binomial bound. **Observed share**
takes the loosest limit at which no more than {risk} of the accepted cases were seen to fail, as is often done; that
breaks the promise in {observed} of the sets. **The planted leak** chooses among {scores} scores that know nothing the
one that looks best on the calibration cases themselves, then certifies as before: broken in {leaked}. So the score, its
candidate limits and what counts as failed are fixed on the tune split, and a subject never crosses (`triage.ledger`). A
world "just too high at every limit" is the hardest: each limit that is found there is a broken promise.

On the same data the limits are those of MAPIE's fixed-sequence controller (`tests/triage/gate/test_certify.py`).

## Several levels spend one delta

Each has an equal share of it; one that is certified at every limit hands its share on to the next.

{several}
## How many accepted cases it takes

At {confidence} confidence, by how many of them failed.

{needed}
`python -m pipelines.bench.promise`
"""

BENCH = Bench(name="promise", measure=measure, write=write)

if __name__ == "__main__":
    run((BENCH,))
