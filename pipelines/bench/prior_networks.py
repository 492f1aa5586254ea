"""Tiny networks at 2 mm, trained on few or many label maps: where is a prior worth most?

All have the same size, the same number of iterations and the same random numbers; only the label maps differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from models.label_maps import LabelMap
from models.losses import dice_and_cross_entropy
from models.network import SIDE_MULTIPLE, SMALLEST_SIDE, SegmentationNet
from models.synthesis import Recipe, normalised, synthesise
from models.training import Schedule, begin, seed_of, step, write_weights
from pipelines.engine import coarser
from pipelines.preprocess import Conformed
from pipelines.scans import read_classes
from triage.anatomy import N_CLASSES

NUMBERS_OF_MAPS = (1, 2, 5, 20)
WIDTHS = (16, 24, 32, 40, 48)
VOXEL_MM = 2
ITERATIONS = 100
RECIPE = Recipe(
    shape=(64, 96, 64),
    voxel_mm=VOXEL_MM,
    findings={"normal": 1.0},
    t1_like=1.0,
    t2_like=0.0,
    flair_like=0.0,
    post_contrast=0.0,
    tilted=0.0,
    stripped=0.5,
    ghosts=0.0,
    largest_slice_mm=3.0,
    noise=8.0,
    shift_mm=12.0,
)
"""Healthy heads, T1-weighted: what can be learned in minutes on one core."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coarse:
    """A scan at 2 mm. image: (X, Y, Z), sides as the network needs them. affine: index to RAS+ mm. classes: uint8."""

    image: Tensor
    affine: NDArray[np.float64]
    classes: NDArray[np.uint8]


def train_networks(maps: Sequence[LabelMap], folder: Path) -> Mapping[int, SegmentationNet]:
    """One network for each of NUMBERS_OF_MAPS, on the first label maps. folder: keeps the weights."""
    return {n: _network(maps[:n], folder / f"{n}-maps.safetensors") for n in NUMBERS_OF_MAPS}


def at_2_mm(conformed: Conformed, labels: Path) -> Coarse:
    """Blocks of 8 voxels averaged; labels by the nearest voxel."""
    image = functional.avg_pool3d(torch.from_numpy(conformed.image)[None], VOXEL_MM)[0]
    sides = [max(SMALLEST_SIDE, -(-n // SIDE_MULTIPLE) * SIDE_MULTIPLE) for n in image.shape]
    padding = [(0, side - n) for side, n in zip(sides, image.shape, strict=True)]
    padded = functional.pad(image, [end for pair in reversed(padding) for end in pair])
    affine = coarser(conformed.affine, VOXEL_MM, centre=(VOXEL_MM - 1) / 2)
    truth, truth_affine = read_classes(labels)
    index = np.linalg.inv(truth_affine) @ affine
    classes = ndimage.affine_transform(truth, index[:3, :3], index[:3, 3], sides, order=0)
    return Coarse(image=padded, affine=affine, classes=np.asarray(classes, np.uint8))


def _network(maps: Sequence[LabelMap], path: Path) -> SegmentationNet:
    torch.manual_seed(0)
    net = SegmentationNet(N_CLASSES, WIDTHS)
    if not path.is_file():
        _train(net, [torch.from_numpy(m.labels) for m in maps], path)
    net.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return net.eval().requires_grad_(False)


def _train(net: SegmentationNet, maps: Sequence[Tensor], path: Path) -> None:
    schedule = Schedule(iterations=ITERATIONS, learning_rate=4e-3, warm_up=20)
    training, loss = begin(net, schedule), dice_and_cross_entropy()
    while training.iteration < ITERATIONS:
        generator = torch.Generator().manual_seed(seed_of(0, training.iteration))
        drawn = synthesise(maps[training.iteration % len(maps)], RECIPE, generator)
        value = step(training, normalised(drawn.image)[None, None], drawn.classes[None].long(), loss, schedule)
        print(f"{len(maps)} label maps, iteration {training.iteration}: {value:.3f}", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(training, path, {"label_maps": len(maps), "iterations": ITERATIONS})
