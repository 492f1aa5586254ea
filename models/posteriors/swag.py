"""SWAG: the mean and the spread of the iterates of SGD with a constant step.

In the coordinates of the weights the step that SGD can take is set by the steepest direction, thousands of times as
steep as the flattest, along which it then never leaves the mode. It runs in coordinates that the mode whitens, where
all are equally steep. Source: Maddox et al. 2019, arXiv:1902.02476, algorithm 1.
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
STEP = 0.5 * (1 - MOMENTUM)


@one_thread_an_operation()
def fit(
    head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, epochs: int = EPOCHS, seed: int = 0
) -> GaussianPosterior:
    """From the mode, one snapshot an epoch. In white coordinates the curvature is 1, so half of what SGD can take."""
    generator, mode = torch.Generator().manual_seed(seed), mode_at(head, images, target)
    white = torch.zeros(len(mode.blocks), mode.blocks[0].numel(), dtype=torch.float64)
    velocity, snapshots = torch.zeros_like(white), []
    for _ in range(epochs):
        for drawn in torch.split(torch.randperm(len(images), generator=generator), IMAGES_A_STEP):
            batch = [images[i] for i in drawn.tolist()]
            weights = torch.full((len(batch),), len(images) / len(batch))
            gradient = target.energy(mode.to_weights(white), mode.centre, batch, weights)[1]
            velocity = MOMENTUM * velocity - STEP * mode.to_white_gradient(gradient)
            white = white + velocity
        snapshots.append(as_head(mode.to_weights(white)))
    return moments(torch.stack(snapshots))


def moments(snapshots: Tensor) -> GaussianPosterior:
    """Half of the covariance from the diagonal, half from the last RANK deviations. snapshots: (S, 8 C, F + 1)."""
    mean = snapshots.mean(dim=0)
    deviations = (snapshots - mean)[-RANK:]
    return GaussianPosterior(
        mean=mean,
        sd=snapshots.var(dim=0, correction=0).div(2).sqrt(),
        directions=deviations / (2 * (len(deviations) - 1)) ** 0.5,
    )
