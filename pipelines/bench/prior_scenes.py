"""Some cells of a scan as the prior meets them, and what they are worth under given exponents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.predictive import augment, fused
from models.predictive.rule import shifted
from models.priors.atlas import Atlas
from models.priors.exponent import Choices, Exponents
from models.priors.fusion import prior_ratio
from pipelines.compare import GRADED
from pipelines.engine import BundleEngine, coarser
from pipelines.fit_prior import HEALTHY_BRAIN, of_cells
from pipelines.labelled import Labelled, by_cell
from pipelines.metrics import expected_calibration_error, reliability
from triage.anatomy import BRAIN, N_CLASSES

CELLS = 8_000
PERHAPS_BRAIN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """Cells of the brain and what was taken for it, each of m voxels. subject, split, manual: of the scan.

    logits: (C, m, n), as the network gives them. atlas: (H, n), at the scan's pose. classes: (m, n).
    """

    subject: str
    split: str
    manual: bool
    logits: Tensor
    atlas: Tensor
    classes: Tensor

    def choices(self, frequency: Tensor) -> Choices:
        """What exponents are fitted on. frequency: (H,), of the classes in training."""
        return of_cells(self.logits, self.classes, self.atlas, frequency)


def scenes(
    one: Labelled, engine: BundleEngine, atlases: Sequence[Atlas], heads: Sequence[Tensor] | None = None
) -> list[Scene]:
    """A labelled scan under each of these atlases, at the pose that the bundle finds, and each of these heads.

    heads: (8 C, F + 1), over the bundle's trunk; the bundle's own where none are given.
    """
    assert one.classes is not None
    pose, coarse, _ = engine.locate(one.features, one.conformed)
    affine = pose.affine @ coarser(one.conformed.affine, 2, centre=0.5)
    near = np.kron(coarse[list(BRAIN)].sum(dim=0).numpy() > PERHAPS_BRAIN, np.ones((2, 2, 2), bool))
    classes = by_cell(one.classes)
    cells = _some(classes, torch.from_numpy(near))
    features = augment(one.features)[:, cells]
    at_pose = [atlas.on_grid(one.features.shape[1:], affine).flatten(1)[:, cells] for atlas in atlases]
    return [
        Scene(
            subject=one.scan.name,
            split=one.scan.split,
            manual=one.scan.manual,
            logits=(head @ features).view(-1, SUBVOXELS, len(cells)),
            atlas=atlas,
            classes=classes[:, cells],
        )
        for head in heads or [engine.model.posterior.mean * engine.model.temperature]
        for atlas in at_pose
    ]


def grade(scenes: Sequence[Scene], exponents: Exponents, frequency: Tensor) -> list[dict[str, Any]]:
    """A row a scan. dice: of each structure of GRADED, among the cells.

    nll, brier, ece: nats, [0, 2] and [0, 1], among the brain's classes given that a voxel is healthy brain.
    """
    training_prior = frequency**exponents.gamma
    rows = []
    for one in scenes:
        ratio = prior_ratio(one.atlas, training_prior, exponents.beta)[:, None]
        p, _ = fused(shifted(one.logits / exponents.temperature), ratio, temperature=exponents.temperature)
        rows.append({"case": one.subject, "dice": _dice(p.argmax(dim=0), one.classes)} | _calibration(p, one.classes))
    return rows


def _some(classes: Tensor, near: Tensor) -> Tensor:
    """Indices of some of the cells that hold or may hold brain. classes: (8, N). near: (I, J, K) bool."""
    inside = ((classes >= min(BRAIN)).any(dim=0) | near.flatten()).nonzero()[:, 0]
    return inside[torch.randperm(len(inside), generator=torch.Generator().manual_seed(0))[:CELLS]]


def _dice(labels: Tensor, classes: Tensor) -> dict[str, float]:
    table = torch.bincount((classes.long() * N_CLASSES + labels).flatten(), minlength=N_CLASSES**2)
    table = table.view(N_CLASSES, N_CLASSES).double()
    size = table.sum(dim=0) + table.sum(dim=1)
    return {name: float(2 * table[c, c] / size[c]) if table[c].sum() else float("nan") for name, c in GRADED.items()}


def _calibration(p: Tensor, classes: Tensor) -> dict[str, Any]:
    counted = (classes >= HEALTHY_BRAIN.start) & (classes < HEALTHY_BRAIN.stop)
    r = p[HEALTHY_BRAIN][:, counted]
    r = r / r.sum(dim=0).clamp_min(torch.finfo(r.dtype).tiny)
    truth = classes[counted].long() - HEALTHY_BRAIN.start
    at_truth = r.gather(0, truth[None])[0]
    confidence, best = r.max(dim=0)
    return {
        "nll": -float(torch.log(at_truth.clamp_min(torch.finfo(r.dtype).tiny)).mean()),
        "brier": float((1 - 2 * at_truth + r.square().sum(dim=0)).mean()),
        "ece": expected_calibration_error(reliability(confidence.numpy(), (best == truth).numpy())),
    }
