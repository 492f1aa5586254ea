"""Labelled cases scored for the gate: predicted as `run` does it, measured against their labels, kept on disk."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.bundle import METADATA, SUMS, Bundle
from models.network import SUBVOXELS
from models.predictive import augment
from pipelines.engine import BundleEngine
from pipelines.evaluate import describe
from pipelines.failure import Measured, measure
from pipelines.kept import kept, number
from pipelines.labelled import features_folder, kept_copy
from pipelines.mixture import Damage, damaged
from pipelines.run_case import case_seed
from pipelines.scans import Scan, read_classes, read_nifti
from triage.anatomy import BRAIN
from triage.disk import file_sha256
from triage.errors import Refusal
from triage.findings import findings, most_like
from triage.gate.operating_point import FILE, read_operating_point
from triage.prediction import Prediction

SCORING = 3
"""Goes up with every change that makes other figures of the same case: then no kept one is read again."""
AS_IT_IS = Damage(kind="clean", level=0, seed=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A scan to score, and what is done to it first."""

    scan: Scan
    damage: Damage = AS_IT_IS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """signals: by name, NaN for what could not be told. refused: code of a scan that preprocessing refuses, else "".

    like: key of what the scan looks most like. entropy_by_distance: mean at each distance from a boundary, nats.
    baselines: scores that other tools would take, see `_baselines`. Without signals and measured when refused.
    """

    item: Item
    refused: str
    signals: Mapping[str, float]
    like: str
    entropy_by_distance: Sequence[float]
    baselines: Mapping[str, float]
    measured: Measured | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scorer:
    """model: see `model_digest`. usual_entropy: see `triage.gate.signals.Evidence`. cache: what was scored before."""

    engine: BundleEngine
    model: str
    usual_entropy: NDArray[np.float64]
    cache: Path

    def __call__(self, items: Sequence[Item]) -> Iterator[Scored]:
        """Each item's figures, read again if they are there."""
        for item in items:
            key = self._key(item)
            yield _scored(item, kept(self.cache / "scored" / f"{key}.json", lambda item=item: self._row(item)))  # type: ignore[misc]

    def _key(self, item: Item) -> str:
        """A file's name that no other image, labels, lesions, damage, model, usual entropy or way of scoring has."""
        parts = [str(SCORING), self.model, repr(self.usual_entropy.round(5).tolist()), repr(item.damage)]
        files = (item.scan.t1, item.scan.labels, item.scan.lesions)
        parts += [file_sha256(path) if path is not None else "" for path in files]
        known = hashlib.sha256("\n".join(parts).encode())
        return f"{item.scan.name}.{item.damage.kind}.{item.damage.level}.{known.hexdigest()[:16]}"

    def _row(self, item: Item) -> dict[str, Any]:
        """Features are kept in half precision: on a scan that moved no signal by over 4 %, a fraction of its spread."""
        assert item.scan.labels is not None, f"{item.scan.name} has no labels"
        classes, affine = read_classes(item.scan.labels)
        copy = damaged(read_nifti(item.scan.t1), classes, item.damage)
        name = f"mixture {item.damage.name}" if item.damage.level else ""
        features = features_folder(self.cache, self.engine.model.trunk)
        try:
            one = kept_copy(item.scan, name, lambda: copy.volume, self.engine.runner, features, seed=item.damage.seed)
        except Refusal as refusal:
            return {"refused": str(refusal.code)}
        seed = case_seed(0, file_sha256(item.scan.t1) + item.damage.name, self.model)
        prediction = self.engine.infer(one.features, one.conformed, copy.volume, seed=seed)
        lesions = copy.lesion if item.scan.lesions is None else _mask(item.scan.lesions, classes.shape, affine)
        found = measure(prediction, classes, affine, lesions)
        like = most_like(findings(prediction.finding_samples))
        row = describe(prediction, self.usual_entropy)
        return {
            "refused": "",
            "signals": row["signals"],
            "entropy_by_distance": row["entropy_by_distance"],
            "like": like.key if like else "",
            "baselines": _baselines(self.engine.model, one.features, prediction),
            "measured": {
                "dice": dict(found.dice),
                "volume_ratio": dict(found.volume_ratio),
                "lesions": found.lesions,
                "missed": found.missed,
            },
        }


def scorer_of(bundle: Path, engine: BundleEngine, cache: Path) -> Scorer:
    """One that knows the usual entropy of the bundle's operating point."""
    point = read_operating_point(bundle / FILE)
    return Scorer(engine=engine, model=model_digest(bundle), usual_entropy=point.usual_entropy, cache=cache)


def model_digest(bundle: Path) -> str:
    """Of all that decides a prediction: weights and their settings, neither limits nor words."""
    weights = [
        line for line in (bundle / SUMS).read_text().splitlines() if line.partition("  ")[2].startswith("models/")
    ]
    settings = json.loads((bundle / METADATA).read_text())["brain_triage"]
    return hashlib.sha256("\n".join([*weights, json.dumps(settings, sort_keys=True)]).encode()).hexdigest()


def usual_entropy(clean: Sequence[Scored]) -> NDArray[np.float64]:
    """Mean entropy of good scans at each distance from a boundary, (FAR_MM + 1,) nats."""
    return np.asarray(np.mean([one.entropy_by_distance for one in clean], axis=0), np.float64)


def _baselines(model: Bundle, features: Tensor, prediction: Prediction) -> dict[str, float]:
    """What else is taken for a score, nats: softmax entropy over the whole array (one voxel of eight), which changes
    with the field of view, and predictive entropy over the brain.
    """
    cells = augment(features[:, ::2, ::2, ::2])
    logits = (model.posterior.mean * model.temperature @ cells).view(-1, SUBVOXELS, cells.shape[1])
    brain = np.asarray(prediction.labels >= min(BRAIN))
    return {
        "softmax_array": float(torch.special.entr(torch.softmax(logits, dim=0)).sum(dim=0).mean()),
        "entropy_brain": float(prediction.entropy[brain].mean()) if brain.any() else float("nan"),
    }


def _mask(path: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> NDArray[np.bool_]:
    """A mask of lesions on another grid, by millimetres."""
    image = read_nifti(path)
    index = np.linalg.inv(image.affine) @ affine
    moved = ndimage.affine_transform(image.array, index[:3, :3], index[:3, 3], shape, order=0)
    return np.asarray(moved > 0.5)


def _scored(item: Item, row: Mapping[str, Any]) -> Scored:
    if row["refused"]:
        return Scored(
            item=item, refused=row["refused"], signals={}, like="", entropy_by_distance=(), baselines={}, measured=None
        )
    return Scored(
        item=item,
        refused="",
        signals={name: number(value) for name, value in row["signals"].items()},
        like=row["like"],
        entropy_by_distance=tuple(number(value) for value in row["entropy_by_distance"]),
        baselines={name: number(value) for name, value in row["baselines"].items()},
        measured=_measured(row["measured"]),
    )


def _measured(row: Mapping[str, Any]) -> Measured:
    return Measured(
        dice={key: number(value) for key, value in row["dice"].items()},
        volume_ratio={key: number(value) for key, value in row["volume_ratio"].items()},
        lesions=row["lesions"],
        missed=row["missed"],
    )
