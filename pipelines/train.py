"""Train the network on images synthesised from label maps.

  brain-triage train --label-maps MAPS.npz --lesion-shapes FOLDER --out D --iterations 60000
  python -m pipelines.train ...    the same on a bare machine: torch, monai, nibabel, numpy, scipy, safetensors
  ... --smoke                      minutes on a CPU, from the shipped atlas alone when no label maps are given
  ... --spacing 2 --widths 8 16 24 32 40 --shape 96 96 96 --subjects 5    a tiny network at 2 mm from 5 label maps

Run it again with the same options and it goes on from its last checkpoint. D/network.safetensors is what
`python -m pipelines.build_bundle --weights` takes. Members of an ensemble differ in --seed.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from models.label_maps import LabelMap, read_label_maps
from models.losses import dice_and_cross_entropy, hard_dice
from models.network import SegmentationNet
from models.synthesis import LesionShape, read_lesion_shapes
from models.training import Schedule, Training, begin, resume, save, step, write_weights
from pipelines import training_folder as files
from pipelines.examples import Examples, Options, divided
from triage.anatomy import N_CLASSES, STRUCTURES

Watch = Callable[[Path], None]
"""Called with the folder of the training after every report."""
SMOKE = {
    "spacing": 3.0, "widths": (8, 16, 24, 32, 40), "shape": (64, 64, 64), "iterations": 150, "every": 50, "checks": 4,
    "learning_rate": 4e-3,
}  # fmt: skip
ATLAS_SUBJECTS = 6
PICTURES = 3


def unwatched(folder: Path) -> None:
    """Nobody looks."""


def main(arguments: Sequence[str] | None = None, follow: Callable[[Path], Watch] | None = None) -> Path:
    """Parse, read, train; gives the folder. follow: from the folder, what watches it, such as MLflow."""
    first = _parser().parse_args(arguments)
    parser = _parser()
    if first.smoke:
        parser.set_defaults(**SMOKE)
    args = parser.parse_args(arguments)
    chosen = {field.name: getattr(args, field.name) for field in fields(Options)}
    options = Options(**chosen | {"widths": tuple(args.widths), "shape": tuple(args.shape) if args.shape else None})
    watch = follow(args.out) if follow is not None and not args.no_tracking else unwatched
    weights = load_file(args.init) if args.init else None
    shapes = read_lesion_shapes(args.lesion_shapes) if args.lesion_shapes else []
    train(options, _maps(args.label_maps), shapes, args.out, weights=weights, device=args.device, watch=watch)
    return args.out  # type: ignore[no-any-return]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="brain-triage train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, default = parser.add_argument, Options()
    add("--out", type=Path, required=True, help="folder of the training, taken up where it stopped")
    add("--label-maps", type=Path, help=".npz or folder of NIfTI; without it, some are made from the shipped atlas")
    add("--lesion-shapes", type=Path, help="folder of stroke_*.nii.gz and ms_*.nii.gz in MNI space")
    add("--init", type=Path, help="weights to start from")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--iterations", type=int, default=default.iterations)
    add("--every", type=int, default=default.every, help="iterations between checkpoints, each with a report")
    add("--batch", type=int, default=default.batch, help="images an iteration")
    add("--spacing", type=float, default=default.spacing, help="mm")
    add("--widths", type=int, nargs="+", default=default.widths, help="channels of each level")
    add("--shape", type=int, nargs=3, default=default.shape, help="one field of view, multiples of 32; else several")
    add("--subjects", type=int, default=default.subjects, help="label maps to learn from, the first ones; else all")
    add("--held-out", type=int, default=default.held_out, help="label maps for the checks, the last ones")
    add("--checks", type=int, default=default.checks, help="images a check")
    add("--learning-rate", type=float, default=default.learning_rate)
    add("--healthy-t1", action="store_true", help="healthy heads on T1 only, learned in fewer iterations")
    add("--seed", type=int, default=default.seed)
    add("--smoke", action="store_true", help="reduced size, for a CPU")
    add("--no-tracking", action="store_true", help="keep it out of MLflow, where `brain-triage train` reports")
    return parser


def _maps(source: Path | None) -> list[LabelMap]:
    if source is not None:
        return list(read_label_maps(source))
    from pipelines.atlas_label_maps import atlas_label_maps

    return list(atlas_label_maps(ATLAS_SUBJECTS))


def train(
    options: Options,
    maps: Sequence[LabelMap],
    shapes: Sequence[LesionShape],
    out: Path,
    *,
    weights: dict[str, Tensor] | None = None,
    device: str = "cpu",
    watch: Watch = unwatched,
) -> Training:
    """Train into the folder `out`, from its checkpoint on if it has one."""
    learned, checked = divided(maps, options)
    about = {
        "label_maps": {"subjects": [m.subject for m in learned], "sha256": files.digest_of_maps(learned)},
        "checked_on": {"subjects": [m.subject for m in checked], "sha256": files.digest_of_maps(checked)},
        "lesion_shapes": {"n": len(shapes), "sha256": files.digest_of_shapes(shapes)},
    }
    files.open_folder(out, asdict(options) | {"initialised": weights is not None}, about)
    training, schedule = _begun(options, weights, device)
    resume(training, out)
    seconds = files.forget_after(out, training.iteration)
    began, losses, loss = time.perf_counter() - seconds, [], dice_and_cross_entropy()
    examples = Examples(options=options, maps=_on(device, learned), shapes=shapes)
    checks = Examples(options=options, maps=_on(device, checked), shapes=shapes)
    while training.iteration < options.iterations:
        losses.append(step(training, *examples.batch(training.iteration), loss, schedule))
        if training.iteration % options.every and training.iteration < options.iterations:
            continue
        dice, page = check(training, checks)
        row = {"iteration": training.iteration, "loss": float(np.mean(losses)), "seconds": time.perf_counter() - began}
        files.report(out, row | {f"dice.{name}": value for name, value in dice.items()})
        files.write_png(out / files.SAMPLES / files.picture_name(row), page)
        write_weights(training, out / files.WEIGHTS, {"iteration": training.iteration, **asdict(options)})
        save(training, out)  # last: what a kill leaves unsaved is done, and reported, again
        losses.clear()
        watch(out)
    return training


def check(training: Training, examples: Examples) -> tuple[dict[str, float], NDArray[np.uint8]]:
    """Mean Dice of every class by the averaged weights, and a page of image, labels and prediction."""
    training.net.eval()
    each, rows = [], []
    with torch.inference_mode():
        for image, classes in examples.check():
            logits = torch.func.functional_call(training.net, training.ema, (image[None, None],))
            predicted = logits[0].argmax(dim=0)
            each.append(hard_dice(predicted, classes, N_CLASSES).cpu().numpy())
            rows.append(files.picture(*(x.cpu().numpy() for x in (image, classes, predicted))))
    shown = [name for name in range(len(STRUCTURES)) if not np.isnan([dice[name] for dice in each]).all()]
    dice = {STRUCTURES[i].key: float(np.nanmean([one[i] for one in each])) for i in shown}
    return dice, np.concatenate(rows[:PICTURES])


def _begun(options: Options, weights: dict[str, Tensor] | None, device: str) -> tuple[Training, Schedule]:
    schedule = Schedule(
        iterations=options.iterations,
        seed=options.seed,
        learning_rate=options.learning_rate,
        warm_up=min(100, 1 + options.iterations // 10),
    )
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        net = SegmentationNet(N_CLASSES, options.widths)
    if weights is not None:
        net.load_state_dict({name: value.float() for name, value in weights.items()})
    return begin(net.to(device), schedule), schedule


def _on(device: str, maps: Sequence[LabelMap]) -> list[Tensor]:
    return [torch.from_numpy(m.labels).to(device) for m in maps]


if __name__ == "__main__":
    main()
