"""Fit the last decoder block and the head on a CPU: one member of an ensemble, or better weights for this one.

  python -m pipelines.fit_last_block --label-maps MAPS.npz --lesion-masks MASKS --inputs INPUTS --out member.safetensors

What comes into the block is computed once for images drawn by synthesis, and kept in the folder of inputs; no real scan
is read. The file that comes out holds the block and the head alone, in half precision.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models import bundle as files
from models.label_maps import read_label_maps
from models.last_block import (
    BeforeLastBlock,
    BlockImage,
    LastBlock,
    draw_tiles,
    last_weights,
    named_as_in_network,
    padded,
)
from models.losses import dice_and_cross_entropy
from models.network import SegmentationNet
from models.runtime import make_runner
from models.synthesis import Recipe, read_lesion_shapes, synthesise
from models.training import Schedule, begin, step
from pipelines.preprocess import normalise
from pipelines.settings import SHIPPED_BUNDLE
from triage.anatomy import N_CLASSES

TILES = 12
"""Of 150 in an image of 160x192x160."""
RECIPE = Recipe(t1_like=0.7, t2_like=0.05, flair_like=0.15)
DRAW_SEED = 1
RATE_ANEW, RATE_ON = 3e-3, 1.5e-3
"""Learning rate from random weights, and on from the trained ones."""
INPUTS, CLASSES = ".inputs.npy", ".classes.npy"


def fit(net: SegmentationNet, images: Sequence[BlockImage], schedule: Schedule) -> dict[str, Tensor]:
    """Averaged weights of the last block and the head, one image a step; changes those of `net`."""
    generator = torch.Generator().manual_seed(schedule.seed)
    training = begin(LastBlock(net).requires_grad_(), schedule)
    loss, losses = dice_and_cross_entropy(), []
    for iteration in range(schedule.iterations):
        if iteration % len(images) == 0:
            order = torch.randperm(len(images), generator=generator).tolist()
        tiles, classes = draw_tiles(images[order[iteration % len(images)]], TILES, generator)
        losses.append(step(training, tiles, classes, loss, schedule))
        if (iteration + 1) % 20 == 0:
            print(f"step {iteration + 1}/{schedule.iterations}: loss {np.mean(losses[-20:]):.3f}", flush=True)
    return named_as_in_network(training.ema)


def start_anew(net: SegmentationNet, seed: int) -> None:
    """Random weights in the last block and the head, as a new network has them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net.load_state_dict(net.state_dict() | last_weights(SegmentationNet(N_CLASSES)))


def draw(net: SegmentationNet, label_maps: Path, lesion_masks: Path, images: int, seed: int) -> Iterator[BlockImage]:
    """Synthetic images of every label map in turn, as they come into the last block."""
    _, runner = make_runner(BeforeLastBlock(net.trunk))
    maps, shapes = list(read_label_maps(label_maps)), read_lesion_shapes(lesion_masks)
    generator = torch.Generator().manual_seed(seed)
    for number in range(images):
        subject = maps[number % len(maps)]
        drawn = synthesise(torch.from_numpy(subject.labels), RECIPE, generator, shapes)
        inputs = runner(torch.from_numpy(normalise(drawn.image.numpy())))
        yield BlockImage(subject=subject.subject, inputs=padded(inputs), classes=drawn.classes)


def write_image(image: BlockImage, folder: Path, number: int) -> None:
    """Two files, of which tiles can be read without the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{number:03d}.{image.subject}"
    np.save(folder / (stem + CLASSES), image.classes.numpy())
    np.save(folder / (stem + INPUTS), image.inputs.numpy())


def read_images(folder: Path) -> list[BlockImage]:
    """What `write_image` wrote, mapped into memory."""
    stems = sorted(path.name.removesuffix(INPUTS) for path in folder.glob("*" + INPUTS))
    arrays = [[np.load(folder / (stem + part), mmap_mode="c") for part in (INPUTS, CLASSES)] for stem in stems]
    return [
        BlockImage(subject=stem.partition(".")[2], inputs=torch.from_numpy(inputs), classes=torch.from_numpy(classes))
        for stem, (inputs, classes) in zip(stems, arrays, strict=True)
    ]


def main() -> None:
    """Parse, draw what is not there yet, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="whose network it is")
    parser.add_argument("--label-maps", type=Path, required=True)
    parser.add_argument("--lesion-masks", type=Path, required=True)
    parser.add_argument("--inputs", type=Path, required=True, help="folder that keeps the block's inputs")
    parser.add_argument("--images", type=int, default=24, help="how many to draw when there is no such folder")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--on", action="store_true", help="go on from the trained weights, not from random ones")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    net = files.read_network(args.bundle, N_CLASSES)
    if not args.inputs.is_dir():
        for number, image in enumerate(draw(net, args.label_maps, args.lesion_masks, args.images, DRAW_SEED)):
            write_image(image, args.inputs, number)
    if not args.on:
        start_anew(net, args.seed)
    rate = RATE_ON if args.on else RATE_ANEW
    schedule = Schedule(iterations=args.steps, seed=args.seed, learning_rate=rate, warm_up=20)
    files.write_tensors(args.out, fit(net, read_images(args.inputs), schedule), half=True)


if __name__ == "__main__":
    main()
