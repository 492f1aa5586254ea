"""How soon the live monitor notices, and how often it is wrong: `python -m pipelines.bench.monitor`.

A made-up site, and the monitor that runs in the product. Needs the extra `test`, for MAPIE.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from pipelines.bench.monitor_page import write
from pipelines.bench.page import Bench, Inputs, Results, run
from triage.gate.monitor import LEVEL, Monitor, Stance
from triage.gate.monitored import TIGHTER

SIGNALS = tuple(f"signal {k}" for k in range(10))
COMMON = 0.5
"""Share of every signal's variance that all signals have in common."""
TYPICAL, LIMIT = 1.0, 3.0
"""SDs at which a signal's part of the score is 0 and 1, as in the gate. Accepted is a sum of up to 1."""
CALIBRATION, CASES, QUIET = 60, 10_000, 1_000
BLIND, RISK, FEW = 0.02, 0.05, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """From the change on, accepted cases fail at this rate, and the first signal is worse by so many SDs.

    cleaner_sd: by so much all signals of live cases are better than those of calibration, of which many are damaged.
    quiet: cases before the change.
    """

    name: str
    failing: float
    worse_sd: float
    cleaner_sd: float = 0.0
    quiet: int = QUIET


SCENARIOS = (
    Scenario(name="20 % fail, no signal moves", failing=0.2, worse_sd=0.0),
    Scenario(name="50 % fail, no signal moves", failing=0.5, worse_sd=0.0),
    Scenario(name="one signal moves by 0.5 SD", failing=FEW, worse_sd=0.5),
    Scenario(name="new scanner: one signal by 1 SD, 20 % fail", failing=0.2, worse_sd=1.0),
    Scenario(name="the same, live cases cleaner by 0.5 SD", failing=0.2, worse_sd=1.0, cleaner_sd=0.5),
    Scenario(name="that after 100 quiet cases only", failing=0.2, worse_sd=1.0, cleaner_sd=0.5, quiet=100),
)
SHOWN = SCENARIOS[3]


def drawn_signals(rng: np.random.Generator, n: int, worse_sd: float = 0.0) -> NDArray[np.float64]:
    """(n, len(SIGNALS)) signals of n cases, each of mean 0 and variance 1, but for the first, which may be worse."""
    own = rng.normal(scale=(1 - COMMON) ** 0.5, size=(n, len(SIGNALS)))
    signals: NDArray[np.float64] = own + rng.normal(scale=COMMON**0.5, size=(n, 1))
    signals[:, 0] += worse_sd
    return signals


def scores(signals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, signals) -> (n,) as the gate scores them; accepted is a score up to 1."""
    total: NDArray[np.float64] = np.maximum(0, (signals - TYPICAL) / (LIMIT - TYPICAL)).sum(axis=1)
    return total


def follow(
    seed: int, failing: NDArray[np.float64], *, worse_sd: float = 0.0, cleaner_sd: float = 0.0, quiet: int = QUIET
) -> dict[str, Any]:
    """One site from its first case on, until the gate closes or the cases end. failing: rate of each case, if accepted.

    worse_sd: from case `quiet` on. cleaner_sd: see `Scenario`. Gives the cases at which the gate was tightened and
    closed, None for never, the share accepted before `quiet`, what failed among the accepted from then on, and the
    evidence after every case.
    """
    rng = np.random.default_rng(seed)
    n = len(failing)
    signals = np.vstack([drawn_signals(rng, quiet), drawn_signals(rng, n - quiet, worse_sd)]) - cleaner_sd
    score, reference = scores(signals), drawn_signals(rng, CALIBRATION)
    reference = reference[scores(reference) <= 1]
    fails, drawn, ties = rng.random(n) < failing, rng.random(n) < BLIND, 1 - rng.random(n)
    monitor = Monitor(risk=RISK, reference={name: reference[:, k].tolist() for k, name in enumerate(SIGNALS)})
    changed: dict[Stance, int] = {}
    harm, evidence = 0, []
    for case in range(n):
        if score[case] <= 1:
            monitor.see(dict(zip(SIGNALS, signals[case].tolist(), strict=True)), tie=ties[case])
            if score[case] <= (1 if monitor.stance is Stance.AS_SET else TIGHTER):
                harm += bool(fails[case] and case >= quiet)
                if drawn[case]:
                    monitor.review(failed=bool(fails[case]))
        evidence.append(monitor.evidence)
        if monitor.stance is not Stance.AS_SET:
            changed.setdefault(Stance.TIGHTENED, case + 1)
        if monitor.stance is Stance.CLOSED:
            changed[Stance.CLOSED] = case + 1
            break
    return {
        "tightened": changed.get(Stance.TIGHTENED),
        "closed": changed.get(Stance.CLOSED),
        "accepted": float((score[:quiet] <= 1).mean()),
        "harm": harm,
        "evidence": evidence,
    }


def measure_false_alarms(runs: int) -> dict[str, Any]:
    """No change over CASES cases, and as many fail as the promise allows: the worst case of a promise that holds."""
    found = [follow(seed, np.full(CASES, RISK)) for seed in range(runs)]
    alarms = sum(one["tightened"] is not None for one in found)
    interval = binomtest(alarms, runs).proportion_ci(0.95, method="exact")
    return {
        "runs": runs,
        "cases": CASES,
        "alarms": alarms,
        "interval": [float(interval.low), float(interval.high)],
        "closed": sum(one["closed"] is not None for one in found),
        "accepted": statistics.mean(one["accepted"] for one in found),
        "tightened_at": sorted(one["tightened"] for one in found if one["tightened"] is not None),
    }


def measure_delays(scenario: Scenario, runs: int, shown: int) -> dict[str, Any]:
    """Cases from the change to either alarm. Runs with an alarm before the change are left out, and counted.

    shown: of how many the evidence is kept, around the change.
    """
    quiet = scenario.quiet
    failing = np.where(np.arange(quiet + CASES) < quiet, FEW, scenario.failing)
    change = {"worse_sd": scenario.worse_sd, "cleaner_sd": scenario.cleaner_sd}
    found = [follow(10_000 + seed, failing, quiet=quiet, **change) for seed in range(runs)]
    after = [one for one in found if one["tightened"] is None or one["tightened"] > quiet]
    return {
        "name": scenario.name,
        "runs": runs,
        "early": runs - len(after),
        "tightened": [_since(one["tightened"], quiet) for one in after],
        "closed": [_since(one["closed"], quiet) for one in after],
        "harm": statistics.median(one["harm"] for one in after),
        "paths": [[round(e, 4) for e in one["evidence"][quiet - 200 : quiet + 400]] for one in after[:shown]],
    }


def measure_against_mapie(runs: int, before: int = 32, after: int = 120) -> dict[str, list[int | None]]:
    """Blind reviews from the change to the alarm, of our bettors and of MAPIE's risk monitor, both at half of LEVEL."""
    from mapie.exchangeability_testing import RiskMonitoring

    rng = np.random.default_rng(0)
    delays: dict[str, list[int | None]] = {"ours": [], "mapie": []}
    for _ in range(runs):
        failed = rng.random(before + after) < np.where(np.arange(before + after) < before, FEW, 0.5)
        monitor, most = Monitor(risk=RISK, reference={}), []
        for bad in failed:
            monitor.review(failed=bool(bad))
            most.append(monitor.most)
        oracle = RiskMonitoring("accuracy", test_level=LEVEL, threshold=RISK, warn=False)
        oracle.update(np.ones(len(failed), int), (~failed).astype(int))
        alarms = {
            "ours": np.array(most) >= 1 / LEVEL,
            "mapie": oracle.online_risk_lower_bound_sequence_history > RISK,
        }
        for name, alarm in alarms.items():
            delays[name].append(int(alarm.argmax()) + 1 - before if alarm.any() else None)
    return delays


def measure(inputs: Inputs) -> Results:
    """Nothing of it depends on data."""
    return {
        "null": measure_false_alarms(runs=200),
        "delays": [measure_delays(s, runs=50, shown=5 if s is SHOWN else 0) for s in SCENARIOS],
        "mapie": measure_against_mapie(runs=10),
        "settings": _settings(),
    }


def _settings() -> Mapping[str, float]:
    return {
        "signals": len(SIGNALS),
        "calibration": CALIBRATION,
        "quiet": QUIET,
        "blind": BLIND,
        "risk": RISK,
        "few": FEW,
        "level": LEVEL,
    }


def _since(case: int | None, quiet: int) -> int | None:
    return None if case is None else case - quiet


BENCH = Bench(name="monitor", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
