"""A world of little heads, 5 cm across, and a model of it: all that a whole run needs, at a thousandth of the work.

Each class has one intensity, and the model knows nothing else: its network hands intensities through, its head holds
the Gaussian of each class. It knows what a lesion looks like, but has seen so few that the samples of its posterior
differ on whether there are any: that is what it has to learn.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from models import bundle as files
from models.cells import Cells, write_cells
from models.density import fit_density, pool
from models.network import SUBVOXELS, SegmentationNet
from models.posteriors.likelihood import as_head
from models.predictive import augment
from models.priors.atlas import Atlas
from models.runtime import torch_runner
from pipelines.labelled import by_cell, on_conformed, trunk_digest
from pipelines.preprocess import conform
from pipelines.retrain_replay import evenly
from tests.phantoms import centred_affine
from triage.anatomy import LESION, N_CLASSES, STRUCTURES, TISSUES
from triage.case import Volume

SHAPE = (80, 80, 80)
AFFINE = centred_affine(SHAPE)
MM = (np.stack(np.indices(SHAPE)) - (np.array(SHAPE).reshape(3, 1, 1, 1) - 1) / 2).astype(np.float32)

ANATOMY = (
    # Class, centre and radii in mm, RAS+. Painted in order.
    (1, (0, 0, 0), (21, 22, 20)),
    (2, (0, 0, 0), (19, 20, 18)),
    (3, (0, 0, 1), (15, 16, 14)),
    (4, (6, 2, 1), (5, 6, 5)),
    (4, (-6, 2, 1), (5, 6, 5)),
    (6, (0, -2, 8), (7, 9, 4)),
    (8, (0, -11, -11), (12, 8, 7)),
    (10, (0, -2, -12), (5, 5, 8)),
)
INTENSITY = {0: 0.0, 1: 0.14, 6: 0.29, 8: 0.43, 2: 0.57, 4: 0.71, LESION: 0.785, 10: 0.86, 3: 1.0}
"""Of each class there is; the lesion's lies between two healthy ones."""
SPREAD = 0.022
"""SD of a class's intensity, as the model has it."""
UNEXPECTED = 18.0
"""Nats by which a voxel is less of a lesion than its intensity says, for the sample that expects them least."""
SCALE, CONSTANT = 30.0, 1000.0
"""Of a feature for one SD of the image; and the last feature, the same everywhere, by which a prior can be learnt."""
CELLS, SAMPLES = 1500, 32
PARCELLATION = {1: 46, 2: 100, 3: 44, 4: 23, 6: 49, 8: 38, 10: 35}
"""Class -> an id of it in the parcellations of cases.csv."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LittleHead:
    """seed: who it is. lesion: centre in mm. noise: SD, white matter is 1."""

    seed: int
    lesion: tuple[float, float, float] | None = None
    noise: float = 0.008

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(80, 80, 80) class ids, the truth."""
        return _labels(self.seed, self.lesion)

    @property
    def volume(self) -> Volume:
        """What the scanner gives."""
        rng = np.random.default_rng(self.seed)
        level = np.array([INTENSITY.get(number, 0.0) for number in range(N_CLASSES)])
        image = level[self.labels] + rng.normal(0, self.noise, SHAPE)
        return Volume(array=np.round(1000 * np.clip(image, 0, 2)).astype(np.float32), affine=AFFINE)


def little_bundle(folder: Path, replay: Path) -> Path:
    """A bundle of this world, sealed, without limits of its gate; what its head learnt from goes into `replay`."""
    net = _network()
    heads = [LittleHead(seed=seed) for seed in range(900, 906)]
    images = [_cells(head, torch_runner(net.trunk)) for head in heads]
    samples = _posterior(_head(images[0]))
    head = samples.mean(dim=0)
    net.head.weight.data, net.head.bias.data = head[:, :-1, None, None, None], head[:, -1]
    pooled = [pool(c.features[:-1], _one_hot(c.classes[0]), list(TISSUES.values())) for c in images]
    density = fit_density(torch.stack(pooled).double().numpy())
    learnt = [evenly(cells, CELLS / cells.features.shape[1], seed) for seed, cells in enumerate(images)]
    write_cells(replay / f"{trunk_digest(net.trunk)}.safetensors", learnt)
    counts = 1 + sum(np.bincount(one.labels.ravel(), minlength=N_CLASSES)[:LESION] for one in heads)
    settings = {
        "classes": ["background", *(s.key for s in STRUCTURES)],
        "posterior": "subject_bootstrap",
        "temperature": 1.0,
        "beta": 0.3,
        "training_prior": (counts / counts.sum()).tolist(),
    }
    files.write_tensors(folder / files.NETWORK, net.state_dict())
    files.write_tensors(folder / files.POSTERIOR, {"heads": samples})
    files.write_tensors(folder / files.DENSITY, {"mean": density.mean, "whitening": density.whitening})
    files.write_atlas(folder / files.ATLAS, _atlas(heads))
    about = {"name": "little-heads", "version": "1.0.0", "brain_triage": settings}
    files.write_metadata(folder / files.METADATA, about)
    files.seal(folder)
    return folder


def write_table(folder: Path, heads: Sequence[tuple[str, LittleHead]]) -> Path:
    """A cases.csv of labelled little heads, each with its split."""
    rows = []
    to_id = np.array([PARCELLATION.get(number, 0) for number in range(N_CLASSES)], np.uint8)
    folder.mkdir(parents=True)
    for split, head in heads:
        seed = head.seed
        nib.save(nib.Nifti1Image(head.volume.array, AFFINE), folder / f"{seed}_t1.nii.gz")
        nib.save(nib.Nifti1Image(to_id[head.labels], AFFINE), folder / f"{seed}_label.nii.gz")
        names = {"case": f"head-{seed}", "subject": f"subject-{seed}", "split": split, "finding": "normal"}
        paths = {"t1": f"{seed}_t1.nii.gz", "label": f"{seed}_label.nii.gz", "label2": "", "label_kind": "manual"}
        rows.append(names | paths)
    with (folder / "cases.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, rows[0])
        table.writeheader()
        table.writerows(rows)
    return folder / "cases.csv"


def _network() -> SegmentationNet:
    """Feature v is the intensity of the cell's voxel v, standardised over the image; the last one is constant."""
    net = SegmentationNet(N_CLASSES)
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    through = torch.eye(net.head.in_channels)
    first, last = net.trunk.encoder[0], net.trunk.decoder[0]
    for block, taps in ((first, through[:, :SUBVOXELS]), (last, torch.cat([0 * through, through], dim=1))):
        for conv, norm, weight in ((block.conv1.conv, block.norm1, taps), (block.conv2.conv, block.norm2, through)):
            conv.weight.data[:, :, 1, 1, 1] = weight
            norm.weight.data.fill_(1.0)
            norm.bias.data.fill_(1.0)  # above zero, where a leaky ReLU is linear
    last.norm2.weight.data.fill_(SCALE)
    last.norm2.bias.data.fill_(SCALE)
    last.norm2.bias.data[-1] = CONSTANT
    return net.eval().requires_grad_(False)


def _head(cells: Cells) -> torch.Tensor:
    """Log of each class's Gaussian over the own voxel's intensity, up to what all classes share. (8 C, F + 1)."""
    blocks = torch.zeros(SUBVOXELS, N_CLASSES, cells.features.shape[0])
    blocks[:, :, -2] = -1.0  # no class that this world lacks
    for voxel in range(SUBVOXELS):
        dark, bright = (float(cells.features[voxel][cells.classes[voxel] == number].mean()) for number in (0, 3))
        for number, level in INTENSITY.items():
            mean, variance = dark + level * (bright - dark), (SPREAD * (bright - dark)) ** 2
            blocks[voxel, number, voxel] = mean / variance
            blocks[voxel, number, -2] = -(mean**2) / (2 * variance) / CONSTANT
    return as_head(blocks)


def _posterior(head: torch.Tensor) -> torch.Tensor:
    """(S, 8 C, F + 1): the same head but for how rare it takes lesions to be."""
    samples = head.repeat(SAMPLES, 1, 1)
    rows = slice(SUBVOXELS * LESION, SUBVOXELS * (LESION + 1))
    samples[:, rows, -2] -= torch.linspace(0, UNEXPECTED, SAMPLES)[:, None] / CONSTANT
    return samples


def _cells(head: LittleHead, runner: object) -> Cells:
    conformed = conform(head.volume)
    features = augment(runner(torch.from_numpy(conformed.image)))  # type: ignore[operator]
    classes = by_cell(on_conformed(head.labels, AFFINE, conformed)).long()
    return Cells(subject=str(head.seed), features=features, classes=classes, weight=torch.ones(features.shape[1]))


def _atlas(heads: Sequence[LittleHead]) -> Atlas:
    """How often each class is where, a little blurred."""
    often = np.mean([np.stack([one.labels == number for number in range(LESION)]) for one in heads], axis=0)
    blurred = ndimage.gaussian_filter(often.astype(np.float32), (0, 1.5, 1.5, 1.5)) + 1e-3
    return Atlas(probability=torch.from_numpy(blurred / blurred.sum(axis=0)), affine=AFFINE)


def _one_hot(classes: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(classes, N_CLASSES).T.float()


@cache
def _labels(seed: int, lesion: tuple[float, float, float] | None) -> NDArray[np.uint8]:
    points = _points(seed)
    labels = np.zeros(SHAPE, np.uint8)
    for number, centre, radii in ANATOMY:
        labels[_inside(points, centre, radii)] = number
    if lesion is not None:
        labels[_inside(points, lesion, (6, 6, 6)) & (labels == 3)] = LESION
    labels.setflags(write=False)  # they are handed out again
    return labels


@cache
def _points(seed: int) -> NDArray[np.float32]:
    """Where in the anatomy each voxel lies, mm: everybody is a little different."""
    rng = np.random.default_rng(seed)
    bend = [ndimage.zoom(rng.normal(0, 0.8, (5, 5, 5)), 16, order=1, output=np.float32) for _ in range(3)]
    return np.asarray(MM * rng.uniform(0.98, 1.02, (3, 1, 1, 1)) + np.stack(bend), np.float32)


def _inside(points: NDArray[np.float32], centre: Sequence[float], radii: Sequence[float]) -> NDArray[np.bool_]:
    return np.asarray(sum(((p - c) / r) ** 2 for p, c, r in zip(points, centre, radii, strict=True)) <= 1)
