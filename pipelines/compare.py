"""Posteriors side by side on the same labelled scans: how good, how calibrated, how well they know their errors.

Sulcal CSF counts as background here: the parcellations draw little of it. All posteriors see the same random cells,
drawn from the brain and its surroundings. The score of a case is its mean entropy over the predicted brain.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.network import SUBVOXELS
from models.predictive import augment
from models.predictive.rule import fused_probability, shifted
from pipelines.anatomy_at_pose import AnatomyAtPose
from pipelines.engine import BundleEngine
from pipelines.labelled import Labelled, by_cell
from pipelines.metrics import FINE_BINS, Reliability, auroc, band, grown, reliability
from triage.anatomy import BRAIN, STRUCTURES

CELLS = 8192
GRADED: Mapping[str, int] = {s.key: s.id for s in STRUCTURES if s.id in (2, 3, 4, 5, 6, 8, 9, 10)}
"""The structures that are graded, by class."""
SMALLEST_PROBABILITY = 1e-6
PERHAPS_BRAIN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampledCase:
    """cells: (n,) int64, which of one scan. features: (F + 1, n). ratio: (H, n), of the prior at its pose.

    classes: (8, n) uint8, sulcal CSF as background. around, band: (G, 8, n) bool, for each structure of GRADED the
    voxels in it or within 2 mm, and those within 2 mm of its boundary.
    """

    cells: Tensor
    features: Tensor
    ratio: Tensor
    classes: NDArray[np.uint8]
    around: NDArray[np.bool_]
    band: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grades:
    """One posterior on one case.

    overlap: (G, 3) voxels in both, predicted, and true, of each structure of GRADED. nll: mean -log p(truth), nats.
    brier: mean over voxels of the sum over classes of (p - truth)^2, [0, 2]. error_auroc: of entropy for a wrong label.
    score: mean entropy over the predicted brain, nats. around, band: (G, FINE_BINS, 3) counts of `Reliability`.
    """

    overlap: NDArray[np.float64]
    nll: float
    brier: float
    error_auroc: float
    score: float
    around: NDArray[np.float64]
    band: NDArray[np.float64]

    @property
    def dice(self) -> NDArray[np.float64]:
        """(G,), NaN for a structure that the truth does not have."""
        both, predicted, true = self.overlap.T
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(true > 0, 2 * both / (predicted + true), np.nan))

    @property
    def loss(self) -> float:
        """1 - mean Dice."""
        return 1 - float(np.nanmean(self.dice))


def segmenter_digest(engine: BundleEngine) -> str:
    """Of all that a segmentation depends on: neither limits nor a classifier of findings are part of it."""
    model = engine.model
    weights = [*model.trunk.state_dict().values(), *model.posterior.state.values(), model.atlas.probability]
    known = [weight.numpy().tobytes() for weight in (*weights, model.training_prior, model.class_weight)]
    return hashlib.sha256(b"".join([*known, repr((model.beta, model.temperature)).encode()])).hexdigest()[:12]


def sampled_case(
    one: Labelled, engine: BundleEngine, *, anatomy: AnatomyAtPose | None = None, cells: int = CELLS, seed: int = 0
) -> SampledCase:
    """Random cells of a labelled scan's brain and surroundings, with all that grading needs.

    anatomy: as the engine finds it, where somebody has asked before.
    """
    assert one.classes is not None, f"{one.scan.name} has no labels"
    anatomy = anatomy or engine.find_anatomy(one.features, one.conformed)
    truth = np.where(one.classes == 1, 0, one.classes).astype(np.uint8)
    near = by_cell(grown(truth > 0).view(np.uint8)).any(dim=0)
    perhaps = (anatomy.coarse[list(BRAIN)].sum(dim=0) > PERHAPS_BRAIN).numpy()
    region = near.numpy() | np.kron(perhaps, np.ones((2, 2, 2), bool)).ravel()
    inside = np.flatnonzero(region)
    chosen = torch.from_numpy(np.random.default_rng(seed).permutation(inside)[:cells])

    def at(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return by_cell(mask.view(np.uint8))[:, chosen].numpy().astype(bool)

    masks = [truth == number for number in GRADED.values()]
    return SampledCase(
        cells=chosen,
        features=augment(one.features)[:, chosen],
        ratio=anatomy.ratio[:, chosen],
        classes=by_cell(truth)[:, chosen].numpy(),
        around=np.stack([at(grown(mask)) for mask in masks]),
        band=np.stack([at(band(mask)) for mask in masks]),
    )


def predictive(case: SampledCase, heads: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Mean probability over heads, the prior applied to each. Returns (C, 8, n).

    heads: (S, 8 C, F + 1), divided by the temperature, see `models.predictive.rule`.
    """
    ratio = case.ratio[:, None]
    total = torch.zeros(heads.shape[1] // SUBVOXELS, SUBVOXELS, case.features.shape[1])
    for head in heads:
        logits = shifted((head @ case.features).view_as(total))
        total += fused_probability(logits, ratio, temperature=temperature)[0]
    return total / len(heads)


def grade(case: SampledCase, p: Tensor) -> Grades:
    """p: (C, 8, n), the predictive of the case."""
    labels = p.argmax(dim=0).numpy()
    entropy = torch.special.entr(p).sum(dim=0).numpy()
    brain = np.isin(labels, BRAIN)
    labels[labels == 1] = 0
    merged = p.numpy().copy()
    merged[0] += merged[1]
    merged[1] = 0
    true = np.take_along_axis(merged, case.classes[None].astype(np.int64), axis=0)[0]
    pairs = [(labels == number, case.classes == number) for number in GRADED.values()]
    return Grades(
        overlap=np.array([[(a & b).sum(), a.sum(), b.sum()] for a, b in pairs], float),
        nll=float(-np.log(np.maximum(true, SMALLEST_PROBABILITY)).mean()),
        brier=float(((merged**2).sum(axis=0) - 2 * true + 1).mean()),
        error_auroc=auroc(entropy.ravel(), (labels != case.classes).ravel()),
        score=float(entropy[brain].mean()) if brain.any() else float("nan"),
        around=_reliability(merged, case, case.around),
        band=_reliability(merged, case, case.band),
    )


def pooled(grades: Sequence[Grades], which: str) -> list[Reliability]:
    """Reliability of each structure of GRADED over several cases. which: around or band."""
    total = sum(getattr(one, which) for one in grades)
    return [Reliability(counts=counts) for counts in np.asarray(total)]


def write_grades(path: Path, grades: Grades) -> None:
    """As npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{field.name: getattr(grades, field.name) for field in fields(grades)})


def read_grades(path: Path) -> Grades:
    """What `write_grades` wrote."""
    with np.load(path) as kept:
        arrays: dict[str, Any] = {name: kept[name] if kept[name].ndim else float(kept[name]) for name in kept.files}
    return Grades(**arrays)


def _reliability(p: NDArray[np.float32], case: SampledCase, where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each structure's probability over its voxels. where: (G, 8, n). Returns (G, FINE_BINS, 3)."""
    found = np.zeros((len(GRADED), FINE_BINS, 3))
    for index, (number, mask) in enumerate(zip(GRADED.values(), where, strict=True)):
        found[index] = reliability(p[number][mask], (case.classes == number)[mask]).counts
    return found
