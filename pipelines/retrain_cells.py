"""Cells that a retraining works on: those of each corrected scan, and the replay of what the trunk was fitted on.

A reviewer changes what is wrong and leaves the rest, which is then the model's own answer: to learn from it would only
make the model surer of itself. So a corrected scan comes in two parts: what lies near a change was judged, and teaches;
the rest holds the head as the replay does (`models.posteriors.correction`).
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.cells import Cells, read_cells, write_cells
from models.network import SegmentationNet
from models.posteriors.likelihood import by_voxel, log_probability
from models.predictive import augment
from models.runtime import Runner
from models.training import seed_of
from pipelines.draw_cells import thin
from pipelines.labelled import Labelled, by_cell, on_conformed, trunk_digest
from pipelines.retrain_corrections import Corrected, load_corrected
from triage.anatomy import N_CLASSES, STRUCTURES

NEAR_CELLS = 2
"""What lies within 4 mm of a change was judged by the reviewer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CorrectedCells:
    """Cells of one corrected scan, near a change and elsewhere. By their weights they stand for the whole scan."""

    judged: Cells
    rest: Cells


def corrected_cells(one: Corrected, net: SegmentationNet, runner: Runner, folder: Path, seed: int) -> CorrectedCells:
    """From the folder, where they are kept by all that decides which are drawn; else from the files of the case."""
    head = hashlib.sha256(net.linear_head.numpy().tobytes()).hexdigest()[:12]
    name = f"{trunk_digest(net.trunk)}-{head}-{one.key}-{one.seen_sha256[:16]}-{seed}.safetensors"
    if not (folder / name).is_file():
        scan = load_corrected(one, runner)
        seen, drawn = nib.load(one.seen), nib.load(one.labels)
        changed = (np.asarray(drawn.dataobj) != np.asarray(seen.dataobj)).astype(np.uint8)
        judged = near(on_conformed(changed, np.asarray(drawn.affine, np.float64), scan.conformed).astype(bool))
        both = parts(one.subject, scan, judged, net.linear_head, seed_of(seed, int(one.content_sha256[:8], 16)))
        unfinished = folder / f".{name}"
        write_cells(unfinished, [both.judged, both.rest])
        unfinished.replace(folder / name)
    judged_cells, rest = read_cells(folder / name)
    return CorrectedCells(judged=judged_cells, rest=rest)


def near(changed: NDArray[np.bool_]) -> Tensor:
    """(N,) bool: cells within NEAR_CELLS steps of a changed voxel. changed: (2 I, 2 J, 2 K)."""
    i, j, k = (n // 2 for n in changed.shape)
    cells = changed.reshape(i, 2, j, 2, k, 2).any(axis=(1, 3, 5))
    return torch.from_numpy(ndimage.binary_dilation(cells, iterations=NEAR_CELLS)).flatten()


def parts(subject: str, scan: Labelled, judged: Tensor, head: Tensor, seed: int) -> CorrectedCells:
    """A thinned sample of each part of the scan. judged: (N,) bool. head: (8 C, F + 1), the live one."""
    assert scan.classes is not None
    features = augment(scan.features)
    whole = Cells(
        subject=subject,
        features=features,
        classes=by_cell(scan.classes).long(),
        weight=torch.ones(features.shape[1]),
    )
    log_p, generator = log_probability(by_voxel(head), whole), torch.Generator().manual_seed(seed)
    return CorrectedCells(
        judged=thin(some(whole, judged), log_p[..., judged], generator),
        rest=thin(some(whole, ~judged), log_p[..., ~judged], generator),
    )


def overlap(head: Tensor, scan: CorrectedCells) -> dict[str, float]:
    """Dice of every structure between the head's labels and the reviewer's, estimated from the cells' weights."""
    totals = torch.zeros(3, N_CLASSES, dtype=torch.float64)
    for cells in (scan.judged, scan.rest):
        labels = log_probability(by_voxel(head), cells).argmax(dim=1)
        weight = cells.weight.expand(labels.shape).double()
        both = torch.where(labels == cells.classes, weight, 0)
        for row, (of, value) in enumerate(((labels, both), (labels, weight), (cells.classes, weight))):
            totals[row] += torch.bincount(of.flatten(), value.flatten(), N_CLASSES)
    dice = 2 * totals[0] / (totals[1] + totals[2])
    return {s.key: float(dice[s.id]) for s in STRUCTURES if totals[2, s.id] > 0}


def some(cells: Cells, which: Tensor) -> Cells:
    """Some of the cells. which: (n,) bool, or indices."""
    return Cells(
        subject=cells.subject,
        features=cells.features[:, which],
        classes=cells.classes[:, which],
        weight=cells.weight[which],
    )


def weighted(cells: Cells, weight: float) -> Cells:
    """Cells that count so many times."""
    return replace(cells, weight=weight * cells.weight)
