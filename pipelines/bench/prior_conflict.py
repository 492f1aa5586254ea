"""What the Bayes factor of the pose says of the pose that was found, and of wrong ones."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

from models.priors.atlas import Atlas
from models.priors.fusion import log_evidence, prior_ratio
from pipelines.bench.page import Inputs, kept
from pipelines.compare import segmenter_digest
from pipelines.engine import BundleEngine
from pipelines.labelled import Labelled, features_folder, labelled
from pipelines.scans import Scan
from triage.anatomy import BRAIN

WRONG_MM = 30.0
PATCH = 3
"""Cells of 4 mm: about the 10 mm patches of the gate's focal conflict."""


def brain_points(coarse: Tensor, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 4) mm of the cells that are brain. coarse: (C or H, I, J, K)."""
    inside = (coarse[min(BRAIN) :].sum(dim=0) > 0.5).nonzero().double().numpy()
    return np.asarray(np.c_[inside, np.ones(len(inside))] @ affine.T)


def measure_conflict(inputs: Inputs, engine: BundleEngine, scans: Sequence[Scan]) -> dict[str, Any]:
    """Conflict of real scans at the pose found, and at wrong ones."""
    features = features_folder(inputs.cache, engine.model.trunk)

    def row(one: Labelled) -> dict[str, Any]:
        pose, coarse, affine = engine.locate(one.features, one.conformed)
        return {"case": one.scan.name, "conflict": poses_tried(coarse[:-1], affine, pose.affine, engine)}

    folder = inputs.cache / "prior" / segmenter_digest(engine)
    cases = labelled(scans, engine.runner, features)
    return {"rows": [kept(folder / f"conflict-{one.scan.name}.json", lambda one=one: row(one)) for one in cases]}  # type: ignore[misc]


def poses_tried(
    coarse: Tensor, affine: NDArray[np.float64], pose: NDArray[np.float64], engine: BundleEngine
) -> list[dict[str, Any]]:
    """Conflict over the brain and its worst patch, with the exponent of the prior and with 1, at each pose tried."""
    probability = torch.cat([coarse, (1 - coarse.sum(dim=0, keepdim=True)).clamp_min(0)])
    brain = coarse[min(BRAIN) :].sum(dim=0) > 0.5
    centre = (brain_points(coarse, affine) @ pose.T).mean(axis=0)[:3]
    rows = []
    for name, change in _poses(centre):
        for beta in sorted({engine.model.beta, 1.0}):
            known, unknown = (
                _evidence(probability, atlas, change @ pose @ affine, engine, beta)
                for atlas in (engine.model.atlas, engine.unknown_pose)
            )
            conflict = torch.where(brain, unknown - known, 0.0)
            patches = ndimage.uniform_filter(conflict.numpy(), PATCH)
            mean, worst = float(conflict[brain].mean()), float(patches[brain.numpy()].max())
            rows.append({"pose": name, "beta": beta, "mean": mean, "worst_patch": worst})
    return rows


def _evidence(
    probability: Tensor, atlas: Atlas, affine: NDArray[np.float64], engine: BundleEngine, beta: float
) -> Tensor:
    here = atlas.on_grid(probability.shape[1:], affine)
    return log_evidence(probability, prior_ratio(here, engine.model.training_prior, beta))


def _poses(centre: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Changes of the pose in MNI mm, by name: none, 30 mm off, upside down, and turned by 90 degrees about an axis."""
    yield "right", np.eye(4)
    for axis, name in enumerate(("x", "y", "z")):
        shift = np.eye(4)
        shift[axis, 3] = WRONG_MM
        yield f"30 mm off along {name}", shift
    turns = {f"turned about {name}": Rotation.from_euler(name, 90, degrees=True).as_matrix() for name in "xyz"}
    for name, matrix in ({"upside down": np.diag([1.0, 1.0, -1.0])} | turns).items():
        change = np.eye(4)
        change[:3, :3] = matrix
        change[:3, 3] = centre - matrix @ centre
        yield name, change
