"""Cyclical stochastic-gradient Hamiltonian Monte Carlo: steps that shrink, sample, and jump away again.

Sources: Zhang et al. 2020, arXiv:1902.03932, eq. 1 and algorithm 2; Chen, Fox and Guestrin 2014, arXiv:1402.4102,
eq. 15; gradients less those at the mode, which takes most of their noise away: Baker et al. 2019, arXiv:1706.05439.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from models.cells import Cells
from models.parallel import one_thread_an_operation
from models.posteriors.heads import HeadSamples
from models.posteriors.likelihood import DEFAULT, Target, as_head, loss_and_gradient
from models.posteriors.mode import mode_at

CYCLES = 16
STEPS_A_CYCLE = 120
SAMPLES_A_CYCLE = 4
IMAGES_A_STEP = 4
LARGEST_STEP = 0.02
FRICTION = 0.1


@one_thread_an_operation()
def fit(head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, seed: int = 0) -> HeadSamples:
    """SAMPLES_A_CYCLE snapshots in the second half of each cycle. It moves in the coordinates that the mode whitens."""
    generator, mode = torch.Generator().manual_seed(seed), mode_at(head, images, target)
    at_mode = [loss_and_gradient(mode.blocks.float(), cells)[1] for cells in images]
    white = torch.zeros(len(mode.blocks), mode.blocks[0].numel(), dtype=torch.float64)
    velocity, heads = torch.zeros_like(white), []
    every = STEPS_A_CYCLE // 2 // SAMPLES_A_CYCLE
    for step in range(CYCLES * STEPS_A_CYCLE):
        blocks = mode.to_weights(white)
        gradient = target.precision * (blocks - mode.blocks)
        drawn = torch.randperm(len(images), generator=generator)[:IMAGES_A_STEP].tolist()
        for i in drawn:
            change = loss_and_gradient(blocks.float(), images[i])[1] - at_mode[i]
            gradient += len(images) / len(drawn) / target.kappa * change
        size = step_size(step % STEPS_A_CYCLE)
        noise = torch.randn(white.shape, generator=generator, dtype=torch.float64)
        velocity = (
            (1 - FRICTION) * velocity - size * mode.to_white_gradient(gradient) + math.sqrt(2 * FRICTION * size) * noise
        )
        white = white + velocity
        left = STEPS_A_CYCLE - 1 - step % STEPS_A_CYCLE
        if left % every == 0 and left < every * SAMPLES_A_CYCLE:
            heads.append(as_head(mode.to_weights(white)))
    return HeadSamples(heads=torch.stack(heads))


def step_size(step: int) -> float:
    """Along a cosine from LARGEST_STEP at the start of a cycle to near 0 at its end."""
    return LARGEST_STEP / 2 * (1 + math.cos(math.pi * step / STEPS_A_CYCLE))
