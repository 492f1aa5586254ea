"""The mode of the target and the curvature there: where most methods start, and the coordinates they move in."""

from collections.abc import Sequence
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
    """blocks: (8, C, D) float64, the mode. factor: (8, C D, C D), lower L with L L^T the energy's Hessian there."""

    blocks: Tensor
    factor: Tensor

    def to_weights(self, white: Tensor) -> Tensor:
        """blocks + L^-T white: standard normal in, the Gaussian at the mode out. white: (8, C D)."""
        return self.blocks + whiten_inverse(self.factor, white).view(self.blocks.shape)

    def to_white_gradient(self, gradient: Tensor) -> Tensor:
        """The derivative by `white` from that by the weights. gradient: (8, C, D). Returns (8, C D)."""
        white: Tensor = torch.linalg.solve_triangular(self.factor, gradient.flatten(1)[..., None], upper=False)
        return white[..., 0]


@one_thread_an_operation()
def find_mode(head: Tensor, images: Sequence[Cells], target: Target) -> Mode:
    """The mode and the curvature there."""
    trained = by_voxel(head).double()
    start = Mode(blocks=trained, factor=torch.linalg.cholesky(target.hessian(trained, images)))
    blocks = refit(start, trained, images, target)
    return Mode(blocks=blocks, factor=torch.linalg.cholesky(target.hessian(blocks, images)))


def refit(
    start: Mode, trained: Tensor, images: Sequence[Cells], target: Target, weights: Tensor | None = None
) -> Tensor:
    """The mode when the images weigh `weights`, (8, C, D): L-BFGS from `start` in the coordinates that it whitens.

    It stops where no coordinate would move by more than TOLERANCE_SDS of its posterior SD.
    """

    def energy(white: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        blocks = start.to_weights(torch.from_numpy(white).view(len(trained), -1))
        value, gradient = target.energy(blocks, trained, images, weights)
        return float(value.sum()), start.to_white_gradient(gradient).flatten().numpy()

    options = {"gtol": TOLERANCE_SDS, "ftol": 0.0, "maxiter": MOST_STEPS, "maxcor": 20}
    found = optimize.minimize(energy, np.zeros(trained.numel()), jac=True, method="L-BFGS-B", options=options)
    return start.to_weights(torch.from_numpy(found.x).view(len(trained), -1))


def whiten_inverse(factor: Tensor, white: Tensor) -> Tensor:
    """L^-T white. factor: (8, D, D) lower; white: (8, D)."""
    weights: Tensor = torch.linalg.solve_triangular(factor.transpose(1, 2), white[..., None], upper=True)
    return weights[..., 0]
