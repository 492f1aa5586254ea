"""SWAG: the mean and the spread of the iterates of SGD with a constant step.

Source: Maddox et al. 2019, arXiv:1902.02476, algorithm 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.cells import Cells
from models.parallel import one_thread_an_operation
from models.posteriors.gaussian import GaussianPosterior
from models.posteriors.likelihood import DEFAULT, Target, as_head
from models.posteriors.mode import mode_at

EPOCHS = 60
RANK = 20
IMAGES_A_STEP = 4
MOMENTUM = 0.9


@one_thread_an_operation()
def fit(
    head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, epochs: int = EPOCHS, seed: int = 0
) -> GaussianPosterior:
    """From the mode, one snapshot an epoch. The step is half of what the steepest direction lets SGD take."""
    generator, mode = torch.Generator().manual_seed(seed), mode_at(head, images, target)
    steepest = torch.linalg.matrix_norm(mode.factor, ord=2).square()
    step = (0.5 * (1 - MOMENTUM) / steepest)[:, None, None]
    blocks, velocity, snapshots = mode.blocks.clone(), torch.zeros_like(mode.blocks), []
    for _ in range(epochs):
        for drawn in torch.split(torch.randperm(len(images), generator=generator), IMAGES_A_STEP):
            batch = [images[i] for i in drawn.tolist()]
            weights = torch.full((len(batch),), len(images) / len(batch))
            velocity = MOMENTUM * velocity - step * target.energy(blocks, mode.centre, batch, weights)[1]
            blocks = blocks + velocity
        snapshots.append(blocks)
    return moments(as_head(torch.stack(snapshots)))


def moments(snapshots: Tensor) -> GaussianPosterior:
    """Half of the covariance from the diagonal, half from the last RANK deviations. snapshots: (S, 8 C, F + 1)."""
    mean = snapshots.mean(dim=0)
    deviations = (snapshots - mean)[-RANK:]
    return GaussianPosterior(
        mean=mean,
        sd=snapshots.var(dim=0, correction=0).div(2).sqrt(),
        directions=deviations / (2 * (len(deviations) - 1)) ** 0.5,
    )
