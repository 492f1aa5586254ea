"""Hamiltonian Monte Carlo on the head: exact but for the time it runs, so the reference for all others.

In coordinates that the Hessian at the mode whitens, the target is nearly a standard normal, whose motion is a rotation
known in closed form; only what departs from it is integrated in steps. Sources: Neal 2011, Handbook of MCMC, ch. 5;
Shahbaba, Lan, Johnson and Neal 2014, Stat. Comput. 24(3), section 3 (the split). The eight voxels of a cell move and
are accepted each for itself, at the cost of one gradient.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from models.cells import Cells
from models.parallel import map_chunks
from models.posteriors.heads import HeadSamples
from models.posteriors.likelihood import DEFAULT, Target, as_head
from models.posteriors.mode import mode_at

CHAINS = 4
DRAWS = 100
WARM_UP = 30
QUARTER_TURN = math.pi / 2
"""After it, a standard normal has forgotten where it was."""
FIRST_STEP = QUARTER_TURN / 4
ACCEPTANCE = 0.8

Energy = Callable[[Tensor], tuple[Tensor, Tensor]]
"""White coordinates (B, D) of B independent targets -> -log p of each (B,), and its derivative (B, D)."""


def fit(head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, seed: int = 0) -> HeadSamples:
    """All draws of all chains. head: (8 C, F + 1), as trained."""
    return HeadSamples(heads=sample_chains(head, images, target=target, seed=seed).flatten(0, 1))


def sample_chains(
    head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, draws: int = DRAWS, seed: int = 0
) -> Tensor:
    """(CHAINS, draws, 8 C, F + 1), for `models.posteriors.convergence` to judge."""
    mode = mode_at(head, images, target)

    def energy(white: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = target.energy(mode.to_weights(white), mode.centre, images)
        return value, mode.to_white_gradient(gradient)

    def run(chain: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed + chain)
        start = torch.randn(len(mode.blocks), mode.blocks[0].numel(), generator=generator, dtype=torch.float64)
        path = walk(energy, start, draws=draws, generator=generator)
        return torch.stack([as_head(mode.to_weights(white)) for white in path])

    return torch.stack(list(map_chunks(run, range(CHAINS))))


def walk(
    energy: Energy, start: Tensor, *, draws: int, generator: torch.Generator, warm_up: int = WARM_UP
) -> list[Tensor]:
    """`draws` states (B, D) after `warm_up` ones, in which the step is set for an acceptance rate of ACCEPTANCE."""
    place, (value, slope), step, path = start, energy(start), FIRST_STEP, []
    for number in range(warm_up + draws):
        momentum = torch.randn(place.shape, generator=generator, dtype=place.dtype)
        turn = QUARTER_TURN * (0.8 + 0.4 * float(torch.rand((), generator=generator)))
        steps = max(1, round(turn / step))
        end, arriving, end_value, end_slope = _travel(energy, place, momentum, slope, size=turn / steps, steps=steps)
        gain = value - end_value + 0.5 * (momentum.square() - arriving.square()).sum(dim=1)
        chance = gain.exp().clamp_max(1).nan_to_num(0)
        accepted = torch.rand(len(place), generator=generator) < chance
        place, slope = (torch.where(accepted[:, None], *pair) for pair in ((end, place), (end_slope, slope)))
        value = torch.where(accepted, end_value, value)
        if number < warm_up:
            step = min(QUARTER_TURN, step * math.exp(0.3 * (float(chance.mean()) - ACCEPTANCE)))
        else:
            path.append(place)
    return path


def _travel(
    energy: Energy, place: Tensor, momentum: Tensor, slope: Tensor, *, size: float, steps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Half a kick by what departs from a standard normal, a rotation, half a kick. Place, momentum, value, slope."""
    cos, sin, value = math.cos(size), math.sin(size), torch.zeros(())
    for _ in range(steps):
        momentum = momentum - size / 2 * (slope - place)
        place, momentum = cos * place + sin * momentum, cos * momentum - sin * place
        value, slope = energy(place)
        momentum = momentum - size / 2 * (slope - place)
    return place, momentum, value, slope
