"""The pose against known affines and against an image registration."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional

from models.label_maps import LabelMap, read_label_maps
from models.priors.pose import find_pose
from pipelines.bench.image_affine import correlation, image_affine
from pipelines.bench.page import Inputs, kept
from pipelines.bench.prior_conflict import brain_points, poses_tried
from pipelines.compare import segmenter_digest
from pipelines.engine import BundleEngine, coarser
from pipelines.labelled import Labelled, features_folder, label, labelled
from pipelines.scans import Scan, read_nifti
from triage.anatomy import BRAIN, LESION
from triage.case import Volume

TURN_DEG, SCALE, SHIFT_MM = 15.0, 0.1, 15.0
"""Largest turn, change of size along an axis, and shift of the known affines."""
FIELD_MM = 24
"""Added on every side before a head is moved, so that none of it leaves the field of view."""
COARSE_MM = 4
MAPS = 8


def known_affine(seed: int, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, 4) mm to mm: a turn, a change of size and a shift about the centre."""
    rng = np.random.default_rng(seed)
    axis, shift = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    out = np.eye(4)
    turn = Rotation.from_rotvec(axis * math.radians(rng.uniform(0, TURN_DEG))).as_matrix()
    out[:3, :3] = turn @ np.diag(rng.uniform(1 - SCALE, 1 + SCALE, 3))
    out[:3, 3] = centre + shift * rng.uniform(0, SHIFT_MM) - out[:3, :3] @ centre
    return out


def moved(volume: Volume, affine: NDArray[np.float64], *, order: int) -> Volume:
    """The head brought elsewhere by an affine in mm, on its own grid made wider."""
    cells = [math.ceil(FIELD_MM / s) for s in volume.spacing_mm]
    grid = volume.affine.copy()
    grid[:3, 3] = (volume.affine @ [*(-n for n in cells), 1])[:3]
    shape = [n + 2 * c for n, c in zip(volume.array.shape, cells, strict=True)]
    index = np.linalg.inv(affine @ volume.affine) @ grid
    array = ndimage.affine_transform(volume.array, index[:3, :3], index[:3, 3], shape, order=order)
    return Volume(array=array, affine=grid)


def mean_distance(one: NDArray[np.float64], other: NDArray[np.float64], points: NDArray[np.float64]) -> float:
    """Mean over points (N, 4) of the distance between their images under two affines, mm."""
    return float(np.linalg.norm((points @ (one - other).T)[:, :3], axis=1).mean())


def measure_label_maps(inputs: Inputs, engine: BundleEngine) -> dict[str, Any]:
    """Label maps as they are and moved; no network: a cell's probabilities are the shares of its voxels."""

    def row(number: int, label_map: LabelMap) -> dict[str, Any]:
        still = _onehot(label_map.classes, label_map.affine)
        pose = find_pose(*still, engine.model.atlas).affine
        points = brain_points(*still)
        truth = known_affine(number, points.mean(axis=0)[:3])
        other = moved(Volume(array=label_map.classes.astype(np.float32), affine=label_map.affine), truth, order=0)
        found = find_pose(*_onehot(other.array.astype(np.uint8), other.affine), engine.model.atlas).affine
        error = mean_distance(found @ truth, pose, points)
        return {"case": label_map.subject, "error_mm": error, "conflict": poses_tried(*still, pose, engine)}

    maps = itertools.islice(read_label_maps(inputs.data / "label_maps" / "head_label_maps.npz"), MAPS)
    folder = inputs.cache / "prior" / segmenter_digest(engine)
    rows = [kept(folder / f"map-{m.subject}.json", lambda n=n, m=m: row(n, m)) for n, m in enumerate(maps)]  # type: ignore[misc]
    return {"rows": rows}


def measure_scans(inputs: Inputs, engine: BundleEngine, scans: Sequence[Scan]) -> dict[str, Any]:
    """Real scans as they are and moved; beside it the affine of an image registration."""
    features = features_folder(inputs.cache, engine.model.trunk)

    def row(number: int, scan: Scan) -> dict[str, Any]:
        volume = read_nifti(scan.t1)
        one = next(labelled([scan], engine.runner, features))
        pose, coarse, affine = engine.locate(one.features, one.conformed)
        points = brain_points(coarse, affine)
        truth = known_affine(number, points.mean(axis=0)[:3])
        there = label(scan, moved(volume, truth, order=1), engine.runner)
        found, _, _ = engine.locate(there.features, there.conformed)
        image = np.array(kept(images / f"{scan.name}.json", lambda: image_affine(volume).tolist()))
        return {
            "case": scan.name,
            "error_mm": mean_distance(found.affine @ truth, pose.affine, points),
            "apart_mm": mean_distance(image, pose.affine, points),
            "correlation": {"pose": correlation(volume, pose.affine), "image": correlation(volume, image)},
            "labels_nats": {"pose": _labels_nats(one, pose.affine, engine), "image": _labels_nats(one, image, engine)},
        }

    folder, images = inputs.cache / "prior" / segmenter_digest(engine), inputs.cache / "prior" / "image-affines"
    rows = [kept(folder / f"pose-{s.name}.json", lambda n=n, s=s: row(n, s)) for n, s in enumerate(scans)]  # type: ignore[misc]
    return {"rows": rows}


def _onehot(classes: NDArray[np.uint8], affine: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.float64]]:
    """Shares of the healthy classes in cells of 4 mm, (H, I, J, K), lesion as background, and the cells' affine."""
    healthy = torch.from_numpy(np.where(classes < LESION, classes, 0)).long()
    shares = torch.stack([functional.avg_pool3d((healthy == c).float()[None], COARSE_MM)[0] for c in range(LESION)])
    return shares, coarser(affine, COARSE_MM, centre=(COARSE_MM - 1) / 2)


def _labels_nats(one: Labelled, pose: NDArray[np.float64], engine: BundleEngine) -> float:
    """Mean over labelled brain of log pi of the label at this pose, nats."""
    assert one.classes is not None
    brain = np.argwhere((one.classes >= min(BRAIN)) & (one.classes < LESION))[::5]
    mm = np.c_[brain, np.ones(len(brain))] @ (pose @ one.conformed.affine).T
    at = engine.model.atlas.at(torch.from_numpy(mm[:, :3]).float())
    classes = torch.from_numpy(one.classes[tuple(brain.T)].astype(np.int64))
    return float(torch.log(at.gather(0, classes[None])).mean())
