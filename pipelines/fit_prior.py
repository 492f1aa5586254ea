"""Fit the exponent of the anatomical prior and the temperature on labelled scans of the tune split.

  python -m pipelines.fit_prior --cases cases.csv --bundle models/shipped

Minimises the negative log-likelihood of the labels among the brain's classes, each subject with the same weight:
voxels of one subject are not independent, so subjects, not voxels, are counted. Two habits of labels would pass for
doubt and are kept out: where brain ends (protocols put sulcal CSF into the grey matter), and labels that another
network made at 2 mm.
"""

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models import bundle as files
from models.network import SUBVOXELS
from models.predictive import augment
from models.priors.fusion import fuse, prior_ratio
from pipelines.engine import BundleEngine, coarser, load_engine
from pipelines.evaluate import NEUROMORPHOMETRICS, Scan, read_nifti, read_scans
from pipelines.preprocess import conform
from triage.anatomy import BRAIN, LESION
from triage.case import Volume

BETAS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
TEMPERATURES = (0.85, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 2.0)
CELLS = 40_000
FIRST = min(BRAIN)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledCells:
    """logits: (C, 8, n). classes: (8, n) int64, below 2 not counted. atlas: (H, n)."""

    logits: Tensor
    classes: Tensor
    atlas: Tensor


def negative_log_likelihood(cells: LabelledCells, training_prior: Tensor, beta: float, temperature: float) -> float:
    """Mean of -log p(class | healthy brain) over labelled brain voxels, nats."""
    ratio = prior_ratio(cells.atlas, training_prior, beta)[:, None]
    p = fuse(torch.softmax(cells.logits / temperature, dim=0), ratio)[FIRST:LESION]
    counted = cells.classes >= FIRST
    picked = p.gather(0, (cells.classes - FIRST).clamp_min(0)[None])[0] / p.sum(dim=0).clamp_min(1e-12)
    return float(-torch.log(picked[counted].clamp_min(1e-6)).mean())


def _cells(scan: Scan, engine: BundleEngine, generator: torch.Generator) -> LabelledCells:
    """Some cells of one scan."""
    volume = read_nifti(scan.t1)
    conformed = conform(volume)
    features = engine.runner(torch.from_numpy(conformed.image))
    pose, _, _ = engine.locate(features, conformed)
    atlas = engine.model.atlas.on_grid(features.shape[1:], pose.affine @ coarser(conformed.affine, 2, centre=0.5))
    classes = _conformed_labels(scan, volume, conformed.affine, conformed.image.shape)
    grid = features.shape[1:]
    split = torch.from_numpy(classes).view(grid[0], 2, grid[1], 2, grid[2], 2).permute(1, 3, 5, 0, 2, 4)
    flat = split.reshape(SUBVOXELS, -1)
    inside = (flat >= 2).any(dim=0).nonzero()[:, 0]
    pick = inside[torch.randperm(len(inside), generator=generator)[:CELLS]]
    logits = (engine.model.posterior.mean @ augment(features)[:, pick]).view(-1, SUBVOXELS, len(pick))
    atlas = atlas.reshape(len(atlas), -1)[:, pick]
    return LabelledCells(logits=logits, classes=flat[:, pick].long(), atlas=atlas)


def _conformed_labels(
    scan: Scan, volume: Volume, affine: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Classes on the conformed grid by nearest neighbour, 0 outside."""
    assert scan.labels is not None
    truth = NEUROMORPHOMETRICS[np.asarray(nib.load(scan.labels).dataobj).astype(np.int64)]
    index = np.linalg.inv(volume.affine) @ affine
    out = ndimage.affine_transform(truth, index[:3, :3], index[:3, 3], shape, order=0)
    return np.asarray(out, np.uint8)


def main() -> None:
    """Fit, print the table, write beta and temperature into the bundle and seal it again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    args = parser.parse_args()
    engine = load_engine(args.bundle)
    generator = torch.Generator().manual_seed(0)
    cells = [
        _cells(scan, engine, generator) for scan in read_scans(args.cases, ["tune"]) if scan.labels and scan.manual
    ]
    table = {}
    for beta, temperature in itertools.product(BETAS, TEMPERATURES):
        losses = [negative_log_likelihood(c, engine.model.training_prior, beta, temperature) for c in cells]
        table[beta, temperature] = float(np.mean(losses))
    for beta in BETAS:
        print(f"beta {beta:4}: " + " ".join(f"{table[beta, t]:.4f}" for t in TEMPERATURES))
    beta, temperature = min(table, key=lambda k: table[k])
    path = args.bundle / files.METADATA
    metadata = json.loads(path.read_text())
    kept = metadata["brain_triage"]
    kept["beta"], kept["temperature"] = beta, temperature * kept["temperature"]
    kept["prior_fit"] = {"subjects": len(cells), "nll": table[beta, temperature], "nll_without": table[0.0, 1.0]}
    files.write_metadata(path, metadata)
    files.seal(args.bundle)
    print(f"beta {beta}, temperature {temperature}")


if __name__ == "__main__":
    main()
