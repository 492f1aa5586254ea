"""Build a bundle from network weights and label maps: atlas, Laplace posterior of the head, feature density.

  python -m pipelines.build_bundle --weights W.safetensors --label-maps MAPS.npz --out models/shipped

Everything is drawn by synthesis from the label maps; no real scan is read.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from models import bundle as files
from models.density import fit_density, pool
from models.label_maps import LabelMap, read_label_maps
from models.network import SUBVOXELS, SegmentationNet
from models.posteriors.laplace import sandwich_directions
from models.predictive import augment
from models.priors.build import build_atlas
from models.runtime import Runner, make_runner
from models.synthesis import Recipe, synthesise
from pipelines.preprocess import normalise
from triage.anatomy import LESION, N_CLASSES, STRUCTURES, TISSUES

CELLS_PER_IMAGE = 12_000
RIDGE = 1e-3
T1 = Recipe(t1_like=1.0, thick_slices=0.15, largest_slice_mm=3.0, noise=8.0, bias=0.3, gamma=0.2, rotation_deg=12.0)
"""The population of the posterior and of the density: T1-weighted scans of usual quality."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Some cells of one synthetic image. features: (F + 1, n). classes: (8, n) int64. pooled: (D,) tissue features."""

    subject: str
    features: Tensor
    classes: Tensor
    pooled: Tensor


def main() -> None:
    """Parse, build, seal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--label-maps", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=6, help="synthetic images a subject")
    parser.add_argument("--name", default="brain-triage-spike")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    build(**vars(args))


def build(*, weights: Path, label_maps: Path, out: Path, images: int, name: str, version: str, seed: int) -> None:
    """Fill the folder `out`. Keeps its LICENSE, docs/ and operating_point.json, and its beta and temperature if set."""
    net = SegmentationNet(N_CLASSES)
    state = {k: v.float() for k, v in load_file(weights).items()}
    net.load_state_dict(state)
    net.eval().requires_grad_(False)
    maps = list(read_label_maps(label_maps))
    files.write_tensors(out / files.NETWORK, state, half=True)
    if not (out / files.ATLAS).is_file():
        files.write_atlas(out / files.ATLAS, build_atlas(maps, TISSUES, N_CLASSES - 1))
    head = net.linear_head
    _, runner = make_runner(net.trunk)
    cells = list(_draw(maps, head, runner, images, seed))
    files.write_tensors(out / files.POSTERIOR, {"directions": fit_directions(cells, head)})
    density = fit_density(np.stack([c.pooled.numpy() for c in cells]).astype(np.float64))
    files.write_tensors(out / files.DENSITY, {"mean": density.mean, "whitening": density.whitening})
    _write_metadata(out, maps, name, version)
    files.seal(out)


def fit_directions(cells: list[Cells], head: Tensor) -> Tensor:
    """Directions of the sandwich, (K, 8 C, F + 1): Hessian and per-subject gradients of the cross-entropy.

    The eight voxels of a cell have weights of their own, so the Hessian is eight blocks. The likelihood is that of the
    healthy classes given that a voxel is healthy; the lesion's weights stay fixed, since most of the label maps hold no
    lesion and would leave them undetermined.
    """
    subjects = sorted({c.subject for c in cells})
    size = LESION * head.shape[1]
    hessian = torch.zeros(SUBVOXELS, size, size, dtype=torch.float64)
    gradient = torch.zeros(len(subjects), SUBVOXELS, size, dtype=torch.float64)
    for c in cells:
        counted = c.classes < LESION
        p = torch.softmax((head @ c.features).view(N_CLASSES, SUBVOXELS, -1)[:LESION], dim=0) * counted
        truth = torch.nn.functional.one_hot(c.classes.clamp_max(LESION - 1), LESION).permute(2, 0, 1) * counted
        gradient[subjects.index(c.subject)] += ((p - truth).transpose(0, 1) @ c.features.T).flatten(1).double()
        for voxel in range(SUBVOXELS):
            hessian[voxel] += _cross_entropy_hessian(p[:, voxel], c.features)
    directions = torch.zeros(len(subjects), N_CLASSES, SUBVOXELS, head.shape[1])
    for voxel in range(SUBVOXELS):
        ridge = RIDGE * float(hessian[voxel].diagonal().mean())
        block = sandwich_directions(hessian[voxel], gradient[:, voxel], ridge)
        directions[:, :LESION, voxel] = block.view(len(subjects), LESION, -1).float()
    return directions.view(len(subjects), *head.shape)


def _cross_entropy_hessian(p: Tensor, features: Tensor) -> Tensor:
    """sum_n (diag p - p p^T) x f f^T. p: (C, n); features: (D, n). Returns (C D, C D) float64."""
    n_classes, size = len(p), len(features)
    out = torch.zeros(n_classes, size, n_classes, size, dtype=torch.float64)
    for a in range(n_classes):
        for b in range(a, n_classes):
            weight = p[a] * (float(a == b) - p[b])
            out[a, :, b] = out[b, :, a] = ((features * weight) @ features.T).double()
    return out.view(n_classes * size, n_classes * size)


def _draw(maps: list[LabelMap], head: Tensor, runner: Runner, images: int, seed: int) -> Iterator[Cells]:
    generator = torch.Generator().manual_seed(seed)
    for done in range(images * len(maps)):
        label_map = maps[done % len(maps)]
        start = time.perf_counter()
        drawn = synthesise(torch.from_numpy(label_map.labels), T1, generator)
        features = runner(torch.from_numpy(normalise(drawn.image.numpy())))
        grid = features.shape[1:]
        thin = features[:, ::2, ::2, ::2].reshape(len(features), -1)
        probability = torch.softmax((head @ augment(thin)).view(N_CLASSES, SUBVOXELS, -1), dim=0).mean(dim=1)
        flat = augment(features)
        pick = torch.randint(flat.shape[1], (CELLS_PER_IMAGE,), generator=generator)
        classes = drawn.classes.view(grid[0], 2, grid[1], 2, grid[2], 2).permute(1, 3, 5, 0, 2, 4)
        yield Cells(
            subject=label_map.subject,
            features=flat[:, pick],
            classes=classes.reshape(SUBVOXELS, -1)[:, pick].long(),
            pooled=pool(thin, probability, list(TISSUES.values())),
        )
        print(f"image {done + 1}/{images * len(maps)} {time.perf_counter() - start:.1f} s", flush=True)


def _write_metadata(out: Path, maps: list[LabelMap], name: str, version: str) -> None:
    path = out / files.METADATA
    kept = json.loads(path.read_text())["brain_triage"] if path.is_file() else {}
    every = [np.bincount(m.classes.ravel(), minlength=N_CLASSES)[: N_CLASSES - 1] for m in maps]
    counts = np.sum(every, axis=0)
    files.write_metadata(
        path,
        {
            "name": name,
            "version": version,
            "task": "Bayesian segmentation of brain tissues and structures in structural MRI",
            "description": "Trained only on images synthesised from label maps. Research use only.",
            "network_data_format": {
                "inputs": {"image": {"type": "image", "format": "magnitude", "modality": "MR", "num_channels": 1}},
                "outputs": {"pred": {"type": "probabilities", "format": "segmentation", "num_channels": N_CLASSES}},
            },
            "brain_triage": {
                "classes": ["background", *(s.key for s in STRUCTURES)],
                "posterior": "laplace",
                "training_prior": (counts / counts.sum()).tolist(),
                "beta": kept.get("beta", 0.0),
                "temperature": kept.get("temperature", 1.0),
            },
        },
    )


if __name__ == "__main__":
    main()
