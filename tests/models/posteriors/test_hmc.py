"""Hamiltonian Monte Carlo against quadrature on a grid, where the posterior is far from Gaussian."""

import numpy as np
import torch

from models.posteriors.hmc import walk

X = torch.tensor([[1.0, -2.0], [1.0, -0.5], [1.0, 0.3], [1.0, 1.0], [1.0, 2.5]], dtype=torch.float64)
Y = torch.tensor([0.0, 0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
SCALE = torch.tensor([1.0, 0.6], dtype=torch.float64)
"""The second target is the first in narrower coordinates: they must not disturb one another."""


def minus_log_p(weights: torch.Tensor) -> torch.Tensor:
    """Logistic regression with a wide Gaussian prior: (B, 2) -> (B,)."""
    score = weights @ X.T
    return (torch.nn.functional.softplus(score) - Y * score).sum(dim=1) + weights.square().sum(dim=1) / (2 * 3.0**2)


def energy(white: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(2, 2) -> (2,), (2, 2)."""
    place = white.detach().requires_grad_()
    value = minus_log_p(place / SCALE[:, None])
    return value.detach(), torch.autograd.grad(value.sum(), place)[0]


def test_means_and_sds_are_those_of_quadrature_on_a_grid():
    axis = np.linspace(-9, 12, 211)
    grid = torch.from_numpy(np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2))
    p = torch.softmax(-minus_log_p(grid), dim=0)
    mean = p @ grid
    sd = (p @ (grid - mean).square()).sqrt()

    path = walk(energy, torch.zeros(2, 2, dtype=torch.float64), draws=2000, generator=torch.Generator().manual_seed(0))

    drawn = torch.stack(path) / SCALE[:, None]
    for target in range(2):
        assert float(((drawn[:, target].mean(dim=0) - mean) / sd).abs().max()) < 0.12
        assert float((drawn[:, target].std(dim=0) / sd - 1).abs().max()) < 0.1


def test_a_state_without_a_finite_energy_is_never_accepted():
    def walled(white: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outside = (white.abs() > 1).any(dim=1)
        return torch.where(outside, torch.nan, 0.5 * white.square().sum(dim=1)), white

    path = walk(walled, torch.zeros(3, 1, dtype=torch.float64), draws=50, generator=torch.Generator().manual_seed(0))

    assert float(torch.stack(path).abs().max()) <= 1
    assert float(torch.stack(path).std()) > 0.1
