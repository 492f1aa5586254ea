"""What corrections teach, and which cases to label: measured with simulated reviewers on real scans.

  python -m pipelines.bench.active --data ../shared/data --cache out/bench

The reviewer draws what the label says where it says healthy brain, and leaves the rest to the model. Corrections are of
the tune split, as it is and damaged; Dice is measured on the test split, which nothing here is fitted on. Heads are
refitted as `brain-triage retrain` does it, on cached features; no bundle is made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bundle import Bundle, load_bundle
from models.cells import Cells, read_cells
from models.density import pool
from models.posteriors.correction import correct_head
from models.predictive import DENSE_CELLS, augment, cell_probability, unfold
from models.predictive.layout import slices
from models.runtime import Runner, make_runner
from pipelines.bench.active_page import write
from pipelines.bench.page import Bench, Inputs, Results
from pipelines.labelled import Labelled, by_cell, damaged, features_folder, labelled, trunk_digest
from pipelines.next_cases import KEYS, Candidate, propose
from pipelines.retrain_cells import CorrectedCells, near, parts, weighted
from pipelines.retrain_replay import REPLAY, evenly
from pipelines.scans import read_scans
from triage.anatomy import BRAIN, LESION, N_CLASSES, STRUCTURES, TISSUES

DAMAGE, LEVEL = ("motion", "thick_slices"), 3
TWENTY = 20
WEIGHTS = (1.0, 4.0, 16.0)
WEIGHT = 4.0
BUDGETS = (1, 2, 4, 8)
SEEDS = 5
HEALTHY = torch.tensor([c in BRAIN and c != LESION for c in range(N_CLASSES)])
LEFT = torch.tensor([0, 1, LESION])
"""Where the labels do not speak, a reviewer leaves what the model says of these classes."""
GRADED = tuple(s.id for s in STRUCTURES if s.id in BRAIN and s.id != LESION)
STEP = 3
"""Every third cell along each axis is graded."""
SHARE = 0.1
"""Of the replay, while strategies are compared: see `pipelines.retrain_replay.SHARE`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graded:
    """Cells of a scan that Dice is measured on. features: (F + 1, n), half precision. classes: (8, n) uint8."""

    features: Tensor
    classes: Tensor

    def dice(self, head: Tensor) -> float:
        """Mean over the structures of GRADED that the scan has."""
        labels = (head @ self.features.float()).view(N_CLASSES, -1, self.features.shape[1]).argmax(dim=0)
        truth = self.classes.long()
        ours, theirs, both = (
            torch.bincount(x.flatten(), minlength=N_CLASSES).double() for x in (labels, truth, truth[labels == truth])
        )
        return float(np.mean([2 * both[c] / (ours[c] + theirs[c]) for c in GRADED if theirs[c] > 0]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Item:
    """One case that could be corrected. volumes: (C,) voxels of each class, as the model labels it."""

    candidate: Candidate
    cells: CorrectedCells
    graded: Graded
    volumes: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """tests: by site, "same" for that of most corrections."""

    head: Tensor
    replay: Sequence[Cells]
    pool: Sequence[Item]
    tests: Mapping[str, Sequence[Graded]]

    def corrected(self, items: Sequence[Item], weight: float = WEIGHT, share: float = 1.0) -> Tensor:
        """The head that these corrections give."""
        replay = (
            [evenly(cells, share, number) for number, cells in enumerate(self.replay)] if share < 1 else self.replay
        )
        held = [*replay, *(weighted(item.cells.rest, weight) for item in items)]
        return correct_head(self.head, held, [weighted(item.cells.judged, weight) for item in items])


Strategy = Callable[[Sequence[Item], int, int], list[int]]
"""Items, how many, seed -> which, in order."""


def at_random(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """Any case."""
    return [int(k) for k in np.random.default_rng(seed).permutation(len(items))[:n]]


def foreground_aware(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """Every other one at random; the rest in proportion to their volume of a structure that is drawn evenly.

    After the stronger baseline of nnActive (Lueth et al. 2025, arXiv:2511.19183), whose unit is a patch, not a scan.
    """
    rng, left, chosen = np.random.default_rng(seed), list(range(len(items))), list[int]()
    while left and len(chosen) < n:
        chance = np.ones(len(left))
        if len(chosen) % 2:
            structure = rng.choice(GRADED)
            chance = np.array([items[k].volumes[structure] for k in left]) + 1e-9
        chosen.append(left.pop(int(rng.choice(len(left), p=chance / chance.sum()))))
    return chosen


def most_information(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """The largest mutual information summed over the structures; no chance, no diversity."""
    total = [sum(item.candidate.information.values()) for item in items]
    return [int(k) for k in np.argsort(total)[::-1][:n]]


def proposed(items: Sequence[Item], n: int, seed: int) -> list[int]:
    """`brain-triage next`."""
    place = {item.candidate.pseudonym: k for k, item in enumerate(items)}
    return [place[one.pseudonym] for one in propose([item.candidate for item in items], n, seed=seed)]


STRATEGIES: Mapping[str, Strategy] = {
    "random": at_random,
    "foreground-aware random": foreground_aware,
    "most information": most_information,
    "brain-triage next": proposed,
}


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


def read_world(inputs: Inputs) -> World:
    """Everything small that is kept of the scans, one scan in memory at a time."""
    model = load_bundle(inputs.bundle)
    head = model.posterior.mean * model.temperature
    features = features_folder(inputs.cache, model.trunk)
    runner = _runner_when_needed(model)
    tune, test = ([s for s in read_scans(inputs.cases, [split]) if s.labels] for split in ("tune", "test"))
    automatic = [scan for scan in tune if not scan.manual]

    def candidates() -> Iterator[Labelled]:
        yield from labelled(tune, runner, features)
        yield from damaged(automatic, DAMAGE, runner, features, levels=(LEVEL,))

    def tests(manual: bool) -> list[Graded]:
        found = labelled([scan for scan in test if scan.manual is manual], runner, features)
        return [graded(one) for one in found]

    return World(
        head=head,
        replay=read_cells(REPLAY / f"{trunk_digest(model.trunk)}.safetensors"),
        pool=[item_of(one, model, head) for one in candidates()],
        tests={"same": tests(manual=False), "other": tests(manual=True)},
    )


def item_of(one: Labelled, model: Bundle, head: Tensor) -> Item:
    """A candidate with its correction: healthy brain as labelled, all else as the model says."""
    assert one.classes is not None
    cells = augment(one.features)
    logits = ((head @ cells[:, part]).view(N_CLASSES, 8, -1) for part in slices(cells.shape[1], DENSE_CELLS))
    seen = torch.cat([chunk.argmax(dim=0) for chunk in logits], dim=1)
    truth = by_cell(one.classes).long()
    drawn = torch.where(HEALTHY[truth] | ~torch.isin(seen, LEFT), truth, seen)
    grid = (one.features.shape[1], one.features.shape[2], one.features.shape[3])
    volume, changed = (unfold(x, grid).numpy() for x in (drawn.to(torch.uint8), drawn != seen))
    as_drawn = Labelled(scan=one.scan, conformed=one.conformed, features=one.features, classes=volume)
    return Item(
        candidate=candidate(one, model, head),
        cells=parts(one.scan.name, as_drawn, near(changed), head, 0),
        graded=graded(one),
        volumes=torch.bincount(seen.flatten(), minlength=N_CLASSES).double().numpy(),
    )


def candidate(one: Labelled, model: Bundle, head: Tensor) -> Candidate:
    """What `report.json` would tell of the case, from every third cell along each axis and without the prior."""
    thin = one.features[:, ::STEP, ::STEP, ::STEP]
    cells = augment(thin)
    heads = model.posterior.sample(32, seed=0)
    mean, expected = torch.zeros(()), torch.zeros(())
    for sample in heads:
        p = torch.softmax((sample @ cells).view(N_CLASSES, 8, -1), dim=0)
        mean, expected = mean + p / len(heads), expected + torch.special.entr(p).sum(dim=0) / len(heads)
    nats = torch.special.entr(mean).sum(dim=0) - expected
    labels = mean.argmax(dim=0)
    coarse = cell_probability(cells, model.posterior.mean, temperature=model.temperature)
    shown = [s for s in STRUCTURES if s.key in KEYS and bool((labels == s.id).any())]
    return Candidate(
        pseudonym=f"{one.scan.name} {one.damage}".strip(),
        information={s.key: float(nats[labels == s.id].mean()) for s in shown},
        features=pool(cells[:-1], coarse, list(TISSUES.values())).double().numpy(),
    )


def graded(one: Labelled) -> Graded:
    """Every third cell along each axis."""
    assert one.classes is not None
    thin = one.features[:, ::STEP, ::STEP, ::STEP]
    grid = one.features.shape[1:]
    index = torch.arange(grid.numel()).view(grid)[::STEP, ::STEP, ::STEP].flatten()
    return Graded(features=augment(thin).half(), classes=by_cell(one.classes)[:, index])


def _runner_when_needed(model: Bundle) -> Runner:
    """Compiling the trunk takes seconds, which cached features spare."""

    @cache
    def made() -> Runner:
        return make_runner(model.trunk)[1]

    def run(image: Tensor) -> Tensor:
        return made()(image)

    return run


BENCH = Bench(name="active", measure=measure, write=write)

if __name__ == "__main__":
    from pipelines.bench.page import run

    run([BENCH])
