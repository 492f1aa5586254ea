"""Fine-tune the whole network on corrected scans and synthetic images in turn, from the live weights on.

The loop is that of `pipelines.train`: every random number is a function of seed and iteration, and a run that was
killed goes on from its checkpoint with the same bits. Every other iteration shows a synthetic image, so that nothing is
forgotten.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import bundle as files
from models.losses import dice_and_cross_entropy
from models.network import SegmentationNet
from models.training import Schedule, begin, resume, save, seed_of, step
from pipelines.examples import Examples, Options
from pipelines.retrain_corrections import load_corrected
from pipelines.retrain_job import Job, Metrics
from pipelines.retrain_replay import label_maps_of
from triage.anatomy import BRAIN, N_CLASSES

EVERY = 100
"""Iterations between two checkpoints."""
CORRECTED = 3
"""Stream of random numbers; `pipelines.examples` has 1 and 2."""
Scan = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""Image, normalised, and classes, both on the conformed grid."""


def fine_tune(job: Job) -> Metrics:
    """New weights of trunk and head into the job's folder."""
    options = job.options
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scans = _scans(job)
    maps, shapes = label_maps_of(job)
    synthetic = Examples(
        options=Options(iterations=options.full, shape=options.shape, seed=options.seed),
        maps=[torch.from_numpy(m.labels).to(device) for m in maps],
        shapes=shapes,
    )
    schedule = Schedule(
        iterations=options.full,
        seed=options.seed,
        learning_rate=options.learning_rate,
        warm_up=min(100, 1 + options.full // 10),
    )
    net = SegmentationNet(N_CLASSES)
    net.load_state_dict(job.live_net.state_dict())
    training, loss = begin(net.to(device), schedule), dice_and_cross_entropy()
    (job.folder / files.NETWORK).parent.mkdir(parents=True, exist_ok=True)
    resume(training, job.folder)
    losses = []
    while training.iteration < options.full:
        number = training.iteration
        shown = synthetic.batch(number) if number % 2 else corrected_batch(scans, options.shape, options.seed, number)
        image, classes = (part.to(device) for part in shown)
        losses.append(step(training, image, classes, loss, schedule))
        if training.iteration % EVERY == 0 or training.iteration == options.full:
            save(training, job.folder)
    files.write_tensors(job.folder / files.NETWORK, dict(training.ema), half=True)
    return {"iterations": options.full, **({"loss": float(np.mean(losses))} if losses else {})}


def corrected_batch(
    scans: Sequence[Scan], shape: tuple[int, int, int], seed: int, iteration: int
) -> tuple[Tensor, Tensor]:
    """One scan, mirrored half of the time, about a voxel of its brain: (1, 1, X, Y, Z) and (1, X, Y, Z) int64."""
    rng = np.random.default_rng(seed_of(seed, iteration, CORRECTED))
    image, classes = scans[int(rng.integers(len(scans)))]
    if rng.random() < 0.5:
        image, classes = image[::-1], classes[::-1]
    brain = np.argwhere(np.isin(classes, BRAIN))
    middle = brain[rng.integers(len(brain))] if len(brain) else np.array(classes.shape) // 2
    low = [_start(int(m), n, size) for m, n, size in zip(middle, classes.shape, shape, strict=True)]
    window = tuple(slice(max(0, a), a + size) for a, size in zip(low, shape, strict=True))
    place = tuple(slice(0, part) for part in classes[window].shape)
    shown, labels = np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    shown[place], labels[place] = image[window], classes[window]
    return torch.from_numpy(shown)[None, None], torch.from_numpy(labels)[None]


def _start(middle: int, n: int, size: int) -> int:
    """Where a window of this size begins around the middle, inside n voxels where it fits."""
    return 0 if n <= size else min(max(0, middle - size // 2), n - size)


def _scans(job: Job) -> list[Scan]:
    """Images and classes of the train split; features are not needed, so none are computed."""
    nothing = torch.zeros(1, 1, 1, 1)
    loaded = (load_corrected(one, lambda _: nothing) for one in job.corrections.train)
    return [(one.conformed.image, one.classes) for one in loaded if one.classes is not None]
