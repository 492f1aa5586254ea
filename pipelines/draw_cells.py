"""Draw the cells that posteriors are fitted on: images synthesised from label maps, through the trunk, thinned.

  python -m pipelines.draw_cells --weights models/shipped/models/network.safetensors \\
      --label-maps ../shared/data/label_maps/head_label_maps.npz --lesion-masks ../shared/data/lesion_masks --out cells/

writes cells.safetensors (`models.cells`) and pooled.safetensors, the pooled features that the density is fitted on. No
real scan is read.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.cells import Cells, write_cells
from models.density import pool
from models.label_maps import LabelMap, read_label_maps
from models.network import SegmentationNet
from models.posteriors.likelihood import by_voxel, log_probability
from models.predictive import augment
from models.runtime import Runner, make_runner
from models.synthesis import LesionShape, Recipe, read_lesion_shapes, synthesise
from pipelines.labelled import by_cell
from pipelines.preprocess import normalise
from triage.anatomy import N_CLASSES, TISSUES

T1 = Recipe(
    rotation_deg=12.0,
    tilted=0.0,
    t1_like=1.0,
    t2_like=0.0,
    flair_like=0.0,
    post_contrast=0.1,
    thick_slices=0.15,
    largest_slice_mm=3.0,
    ghosts=0.05,
    bias=0.3,
    noise=8.0,
    gamma=0.2,
    cropped=0.1,
)
"""T1-weighted scans of usual quality: most of the images, and the population of the density."""
ANY = Recipe(t1_like=0.25, t2_like=0.15, flair_like=0.45)
EVERY_NTH_IS_ANY = 4
CELLS_A_CLASS = 150
CELLS_BY_RESIDUAL = 2000
CELLS, POOLED = "cells.safetensors", "pooled.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """pooled: (D,) tissue features, None where the image is not of the density's population."""

    cells: Cells
    pooled: Tensor | None


def draw(
    maps: Sequence[LabelMap], shapes: Sequence[LesionShape], *, head: Tensor, runner: Runner, images: int, seed: int
) -> Iterator[Drawn]:
    """`images` of every label map, in rounds over the label maps. head: (8 C, F + 1)."""
    generator = torch.Generator().manual_seed(seed)
    for number in range(images * len(maps)):
        label_map, usual = maps[number % len(maps)], (number // len(maps)) % EVERY_NTH_IS_ANY != EVERY_NTH_IS_ANY - 1
        image = synthesise(torch.from_numpy(label_map.labels), T1 if usual else ANY, generator, shapes)
        features = augment(runner(torch.from_numpy(normalise(image.image.numpy()))))
        every = Cells(
            subject=label_map.subject,
            features=features,
            classes=by_cell(image.classes.numpy()).long(),
            weight=torch.ones(features.shape[1]),
        )
        log_p = log_probability(by_voxel(head), every)
        cells = thin(every, log_p, generator)
        yield Drawn(cells=cells, pooled=_pool(features, log_p) if usual else None)


def thin(every: Cells, log_p: Tensor, generator: torch.Generator) -> Cells:
    """A sample of an image's cells, each with the weight 1 / its probability of being drawn.

    Small structures get as many cells as large ones, and cells that the trained head has wrong get more: they carry the
    gradient. log_p: (8, C, n), of the trained head. Source: Fithian and Hastie 2014, Ann. Statist. 42(5), section 3.
    """
    present = torch.zeros(log_p.shape[1], log_p.shape[2]).scatter_(0, every.classes, 1.0)
    rate = CELLS_A_CLASS / present.sum(dim=1).clamp_min(1)
    residual = 1 - log_p.gather(1, every.classes[:, None])[:, 0].exp().mean(dim=0)
    chance = (present * rate[:, None]).amax(dim=0) + CELLS_BY_RESIDUAL * residual / residual.sum()
    chance = chance.clamp_max(1)
    drawn = torch.rand(len(chance), generator=generator) < chance
    return Cells(
        subject=every.subject,
        features=every.features[:, drawn],
        classes=every.classes[:, drawn],
        weight=1 / chance[drawn],
    )


def _pool(features: Tensor, log_p: Tensor) -> Tensor:
    return pool(features[:-1], log_p.exp().mean(dim=0), list(TISSUES.values()))


def main() -> None:
    """Parse, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--label-maps", type=Path, required=True)
    parser.add_argument("--lesion-masks", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, default=4, help="synthetic images a subject")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    net = SegmentationNet(N_CLASSES)
    net.load_state_dict({k: v.float() for k, v in load_file(args.weights).items()})
    net.eval().requires_grad_(False)
    _, runner = make_runner(net.trunk)
    maps, shapes = list(read_label_maps(args.label_maps)), read_lesion_shapes(args.lesion_masks)
    start, every = time.perf_counter(), []
    for drawn in draw(maps, shapes, head=net.linear_head, runner=runner, images=args.images, seed=args.seed):
        every.append(drawn)
        n = drawn.cells.features.shape[1]
        print(f"image {len(every)}: {n} cells, {time.perf_counter() - start:.0f} s", flush=True)
        if len(every) % len(maps) == 0:
            _write(args.out, every)


def _write(out: Path, every: Sequence[Drawn]) -> None:
    write_cells(out / CELLS, [drawn.cells for drawn in every])
    save_file({"pooled": torch.stack([d.pooled for d in every if d.pooled is not None])}, out / POOLED)


if __name__ == "__main__":
    main()
