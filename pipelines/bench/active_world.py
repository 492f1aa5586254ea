"""What the page on corrections keeps of its scans: cells to correct, and cells that Dice is measured on."""

from collections.abc import Iterator, Mapping, Sequence
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
from pipelines.bench.page import Inputs
from pipelines.labelled import Labelled, by_cell, damaged, features_folder, labelled, trunk_digest
from pipelines.next_cases import KEYS, Candidate
from pipelines.retrain_cells import CorrectedCells, near, parts, weighted
from pipelines.retrain_replay import REPLAY, evenly
from pipelines.scans import read_scans
from triage.anatomy import BRAIN, LESION, N_CLASSES, STRUCTURES, TISSUES

DAMAGE, LEVEL = ("motion", "thick_slices"), 3
WEIGHT = 4.0
HEALTHY = torch.tensor([c in BRAIN and c != LESION for c in range(N_CLASSES)])
LEFT = torch.tensor([0, 1, LESION])
"""Where the labels do not speak, a reviewer leaves what the model says of these classes."""
GRADED = tuple(s.id for s in STRUCTURES if s.id in BRAIN and s.id != LESION)
STEP = 3
"""Every third cell along each axis is graded."""


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
        candidate=candidate(one, model),
        cells=parts(one.scan.name, as_drawn, near(changed), head, 0),
        graded=graded(one),
        volumes=torch.bincount(seen.flatten(), minlength=N_CLASSES).double().numpy(),
    )


def candidate(one: Labelled, model: Bundle) -> Candidate:
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
