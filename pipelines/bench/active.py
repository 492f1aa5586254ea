"""What corrections teach, and which cases to label: measured with simulated reviewers on real scans.

  python -m pipelines.bench.active --data ../shared/data --cache out/bench

The reviewer draws what the label says where it says healthy brain, and leaves the rest to the model. Corrections are of
the tune split, as it is and damaged; Dice is measured on the test split, which nothing here is fitted on. Heads are
refitted as `brain-triage retrain` does it, on cached features; no bundle is made.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from pipelines.bench.active_page import BUDGETS, write
from pipelines.bench.active_strategies import STRATEGIES, Strategy, at_random
from pipelines.bench.active_world import Graded, World, read_world
from pipelines.bench.page import Bench, Inputs, Results, run

TWENTY = 20
WEIGHTS = (1.0, 4.0, 16.0)
SEEDS = 5
SHARE = 0.1
"""Of the replay, while strategies are compared: see `pipelines.retrain_replay.SHARE`."""


def measure(inputs: Inputs) -> Results:
    """All figures of the page."""
    world = read_world(inputs)
    return {
        "twenty": twenty(world),
        "pool": len(world.pool),
        "tests": {site: len(scans) for site, scans in world.tests.items()},
        "live": mean_dice(world.head, world.tests["same"]),
        "all": mean_dice(world.corrected(world.pool, share=SHARE), world.tests["same"]),
        "strategies": {name: compare(world, strategy) for name, strategy in STRATEGIES.items()},
    }


def twenty(world: World) -> list[dict[str, float]]:
    """Dice before and after TWENTY corrections, by the weight of a correction: on those, and on others."""
    items = [world.pool[k] for k in at_random(world.pool, TWENTY, 0)]
    sets = {"corrected": [item.graded for item in items], **world.tests}
    heads = {0.0: world.head} | {weight: world.corrected(items, weight) for weight in WEIGHTS}
    live = {name: [scan.dice(world.head) for scan in scans] for name, scans in sets.items()}
    rows = []
    for weight, head in heads.items():
        now = {name: [scan.dice(head) for scan in scans] for name, scans in sets.items()}
        change = {name: np.subtract(now[name], live[name]) for name in sets}
        rows.append(
            {"weight": weight}
            | {name: float(np.mean(values)) for name, values in now.items()}
            | {f"{name}.worst": float(values.min()) for name, values in change.items()}
        )
    return rows


def compare(world: World, strategy: Strategy) -> list[list[float]]:
    """Mean Dice on the tests of the same site, (SEEDS, BUDGETS)."""
    return [
        [
            mean_dice(world.corrected([world.pool[k] for k in chosen[:n]], share=SHARE), world.tests["same"])
            for n in BUDGETS
        ]
        for chosen in (strategy(world.pool, max(BUDGETS), seed) for seed in range(SEEDS))
    ]


def mean_dice(head: Tensor, scans: Sequence[Graded]) -> float:
    """Each scan counts alike."""
    return float(np.mean([scan.dice(head) for scan in scans]))


BENCH = Bench(name="active", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
