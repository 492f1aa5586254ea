"""Scans moved away from training step by step, and what is no brain: what each measure of doubt says of them."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.density import pool
from models.posteriors import HeadPosterior
from models.posteriors.point import PointPosterior
from models.predictive import Predictive, augment, predict
from pipelines.bench.no_brains import no_brains
from pipelines.bench.page import Inputs, kept
from pipelines.degrade import DEGRADATIONS
from pipelines.engine import BRAIN_CLASSES, SAMPLES, BundleEngine, load_engine
from pipelines.labelled import Labelled, by_cell, features_folder, kept_copy
from pipelines.posterior_table import read_posteriors
from pipelines.scans import Scan, read_nifti, read_scans
from triage.anatomy import BRAIN, STRUCTURES, TISSUES
from triage.case import Volume
from triage.errors import Refusal

Row = dict[str, Any]

SCANS = ("malf_1006", "ixi_IXI127-HH-1451", "malf_1000")
"""Two of the test split, one of the tune split. The first and the last are stripped, with manual labels."""
LEVELS = (1, 3, 5)
KINDS = ("noise", "motion", "missing_slices", "contrast_inversion")
CLEAN, NO_BRAIN = "clean", "no brain"
GRADED = tuple(s.id for s in STRUCTURES if s.key not in {"sulcal_csf", "third_fourth_ventricle", "lesion"})
SHIPPED = "posterior and prior"
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One volume to judge: a scan as it is (level 0), a degraded copy of it, or what is no brain."""

    scan: Scan
    kind: str
    level: int
    make: Callable[[], Volume]

    @property
    def name(self) -> dict[str, Any]:
        return {"case": self.scan.name, "split": self.scan.split, "kind": self.kind, "level": self.level}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """The engine, and the posteriors to compare on its features, without the anatomical prior."""

    engine: BundleEngine
    posteriors: Mapping[str, HeadPosterior]

    def judge(self, case: Labelled) -> Row:
        """Every second cell along each axis is looked at: one voxel of eight. Entropies are brain means, in nats."""
        model = self.engine.model
        grid = (case.features.shape[1], case.features.shape[2], case.features.shape[3])
        anatomy = self.engine.find_anatomy(case.features, case.conformed)
        thin = case.features[:, ::2, ::2, ::2]
        cells = augment(thin)
        ratio = _thinned(anatomy.ratio, grid)
        shipped = predict(
            cells,
            model.posterior.mean,
            model.posterior.sample(SAMPLES, seed=SEED),
            ratio,
            BRAIN_CLASSES,
            temperature=model.temperature,
        )
        brain = shipped.labels >= min(BRAIN)
        predictors = {SHIPPED: _said(shipped, brain)}
        for name, posterior in self.posteriors.items():
            heads = posterior.sample(0 if isinstance(posterior, PointPosterior) else SAMPLES, seed=SEED)
            alone = predict(cells, posterior.mean, heads, torch.ones_like(ratio), BRAIN_CLASSES)
            predictors[name] = _said(alone, brain)
        pooled = pool(thin.reshape(len(thin), -1), anatomy.coarse.flatten(1), list(TISSUES.values()))
        return {
            "brain_ml": 8 * int(brain.sum()) / 1000,
            "predictors": predictors,
            "disagreement": 1 - shipped.pairwise_dice,
            "density": model.density.distance(pooled),
            "conflict": -anatomy.log_bayes_factor,
            "dice": _dice(shipped.labels, case.classes, grid) if case.classes is not None else {},
        }


def measured(inputs: Inputs) -> list[Row]:
    """One row a scan, kind and level; each is kept, for this bundle and these posteriors, as are the features."""
    engine = load_engine(inputs.bundle)
    judge = Judge(engine=engine, posteriors=posteriors_of(engine, inputs))
    folder = inputs.cache / "doubt" / digest_of(judge)
    features = features_folder(inputs.cache / "doubt", engine.model.trunk)
    return [
        item.name
        | kept(folder / f"{'.'.join(map(str, item.name.values()))}.json", partial(_row, judge, item, features))
        for item in items(inputs)
    ]


def digest_of(judge: Judge) -> str:
    """Of all that a row depends on but the trunk and the density; neither limits nor a classifier make it stale."""
    heads = [posterior.sample(2, seed=SEED) for posterior in (judge.engine.model.posterior, *judge.posteriors.values())]
    model = judge.engine.model
    parts = [*heads, model.atlas.probability, model.training_prior, model.class_weight]
    known = [part.numpy().tobytes() for part in parts] + [repr((model.beta, model.temperature)).encode()]
    return hashlib.sha256(b"".join(known)).hexdigest()[:12]


def posteriors_of(engine: BundleEngine, inputs: Inputs) -> dict[str, HeadPosterior]:
    """The point estimate with its temperature and without, the bundle's posterior, and the fitted ones in the cache."""
    posterior = engine.model.posterior
    return {
        "softmax": PointPosterior(mean=posterior.mean * engine.model.temperature),
        "softmax, temperature": PointPosterior(mean=posterior.mean),
        "posterior": posterior,
    } | read_posteriors(inputs.cache / "doubt" / "posteriors")


def items(inputs: Inputs) -> Iterator[Item]:
    """All that is judged, in order."""
    scans = {scan.name: scan for scan in read_scans(inputs.cases, ["tune", "test"])}
    for scan in (scans[name] for name in SCANS):
        yield Item(scan=scan, kind=CLEAN, level=0, make=partial(read_nifti, scan.t1))
        for kind in KINDS:
            for level in LEVELS:
                yield Item(scan=scan, kind=kind, level=level, make=partial(_degraded, scan, kind, level))
    for name, make in no_brains(inputs.data).items():
        nothing = Scan(name=name, split="none", finding="", t1=Path(), labels=None, manual=False)
        yield Item(scan=nothing, kind=NO_BRAIN, level=0, make=make)


def _degraded(scan: Scan, kind: str, level: int) -> Volume:
    return DEGRADATIONS[kind](read_nifti(scan.t1), level, np.random.default_rng(SEED))


def _row(judge: Judge, item: Item, features: Path) -> Row:
    damage = f"{item.kind} {item.level}" if item.level else ""
    try:
        return judge.judge(kept_copy(item.scan, damage, item.make, judge.engine.runner, features))
    except Refusal as refusal:
        return {"refused": str(refusal.code)}


def _said(found: Predictive, brain: Tensor) -> Row:
    if not bool(brain.any()):
        return {"entropy": math.nan, "information": math.nan}
    information = (found.entropy - found.expected_entropy)[brain]
    return {"entropy": float(found.entropy[brain].mean()), "information": float(information.mean())}


def _dice(labels: Tensor, classes: NDArray[np.uint8], grid: tuple[int, int, int]) -> dict[str, float]:
    """labels: (8, n), of the cells that `_thinned` keeps. classes: (X, Y, Z)."""
    truth = _thinned(by_cell(classes), grid)
    table = {}
    for structure in (s for s in STRUCTURES if s.id in GRADED):
        a, b = labels == structure.id, truth == structure.id
        table[structure.key] = 2 * int((a & b).sum()) / max(1, int(a.sum() + b.sum()))
    return table


def _thinned(cells: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(R, N) values of all cells, to those of every second cell along each axis."""
    return cells.view(len(cells), *grid)[:, ::2, ::2, ::2].reshape(len(cells), -1)
