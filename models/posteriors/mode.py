"""The mode of the target and the curvature there: where methods start, and the coordinates that they move in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from models.cells import Cells
from models.parallel import one_thread_an_operation
from models.posteriors.likelihood import Target, by_voxel

TOLERANCE_SDS = 0.02
MOST_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mode:
    """blocks: (8, C, D) float64, the mode. centre: (8, C, D), of the prior.

    factor: (8, C D, C D), lower L with L L^T the energy's Hessian at the mode.
    """

    blocks: Tensor
    centre: Tensor
    factor: Tensor

    def to_weights(self, white: Tensor) -> Tensor:
        """blocks + L^-T white: standard normal in, the Gaussian at the mode out. white: (8, C D)."""
        solved: Tensor = torch.linalg.solve_triangular(self.factor.transpose(1, 2), white[..., None], upper=True)
        return self.blocks + solved[..., 0].view(self.blocks.shape)

    def to_white_gradient(self, gradient: Tensor) -> Tensor:
        """The derivative by `white` from that by the weights. gradient: (8, C, D). Returns (8, C D)."""
        white: Tensor = torch.linalg.solve_triangular(self.factor, gradient.flatten(1)[..., None], upper=False)
        return white[..., 0]


@one_thread_an_operation()
def centre_at(head: Tensor, images: Sequence[Cells], target: Target) -> Tensor:
    """The prior's centre with which the mode is the trained head (empirical Bayes), (8, C, D). head: (8 C, F + 1).

    Synthetic cells tell how sure the weights are, not where they lie: with the prior centred on the trained head the
    mode had less lesion, but lost .013 Dice on real scans (docs/adr/0005-posterior-of-the-head.md).
    """
    blocks = by_voxel(head).double()
    return blocks + target.energy(blocks, blocks, images)[1] / target.precision


@one_thread_an_operation()
def mode_at(head: Tensor, images: Sequence[Cells], target: Target) -> Mode:
    """The target whose mode is the trained head, (8 C, F + 1)."""
    blocks = by_voxel(head).double()
    factor = torch.linalg.cholesky(target.hessian(blocks, images))
    return Mode(blocks=blocks, centre=centre_at(head, images, target), factor=factor)


def refit(start: Mode, images: Sequence[Cells], target: Target, weights: Tensor | None = None) -> Tensor:
    """The mode when the images weigh `weights`, (8, C, D)."""
    return minimise(lambda blocks: target.energy(blocks, start.centre, images, weights), start)


def minimise(energy: Callable[[Tensor], tuple[Tensor, Tensor]], start: Mode) -> Tensor:
    """Where the energy is least: L-BFGS from `start` in the coordinates that it whitens. Returns (8, C, D).

    energy: blocks -> (8,) and its gradient. It stops where no coordinate would move by more than TOLERANCE_SDS of its
    posterior SD.
    """

    def whitened(white: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = energy(start.to_weights(torch.from_numpy(white).view(len(start.blocks), -1)))
        return float(value.sum()), start.to_white_gradient(gradient).flatten().numpy()

    options = {"gtol": TOLERANCE_SDS, "ftol": 0.0, "maxiter": MOST_STEPS, "maxcor": 20}
    found = optimize.minimize(whitened, np.zeros(start.blocks.numel()), jac=True, method="L-BFGS-B", options=options)
    return start.to_weights(torch.from_numpy(found.x).view(len(start.blocks), -1))
