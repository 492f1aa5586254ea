"""Fits against closed forms, where the posterior or its best approximation is known."""

import numpy as np
import pytest
import torch
from scipy import optimize

from models.cells import Cells
from models.network import SUBVOXELS
from models.posteriors import cyclical_sghmc, mean_field, subject_bootstrap, swag, temperature
from models.posteriors.likelihood import Target, as_head, by_voxel, log_loss
from models.posteriors.mode import mode_at

COUNTS = torch.tensor([[30, 10], [12, 25], [5, 40]])
"""Cells of each class in each of three subjects."""


@pytest.fixture
def counted() -> list[Cells]:
    """Two classes and no feature but the bias: a refit is the logarithm of a ratio of counts."""
    return [
        Cells(
            subject=subject,
            features=torch.ones(1, int(count.sum())),
            classes=torch.repeat_interleave(torch.arange(2), count).expand(SUBVOXELS, -1),
            weight=torch.ones(int(count.sum())),
        )
        for subject, count in zip("abc", COUNTS, strict=True)
    ]


def log_odds(heads: torch.Tensor) -> torch.Tensor:
    """Of the second class, (..., 8)."""
    blocks = by_voxel(heads)[..., 0]
    return blocks[..., 1] - blocks[..., 0]


def test_a_bootstrap_refit_of_a_bias_is_the_log_ratio_of_the_weighted_counts(counted):
    best = as_head(COUNTS.sum(dim=0).log()[None, :, None].expand(SUBVOXELS, -1, -1))
    posterior = subject_bootstrap.fit(best, counted, target=Target(kappa=1.0, precision=1e-3), n=5, seed=1)

    count = subject_bootstrap.subject_weights(["a", "b", "c"], 5, 1) @ COUNTS.float()
    expected = (count[:, 1] / count[:, 0]).log()[:, None].expand(-1, SUBVOXELS)
    torch.testing.assert_close(log_odds(posterior.heads), expected, atol=0.01, rtol=0)


def test_subject_weights_are_the_same_for_every_image_of_a_subject_and_uniform_on_the_simplex():
    weights = subject_bootstrap.subject_weights(["b", "a", "b", "c"], 4000, 0)

    assert torch.equal(weights[:, 0], weights[:, 2])
    share = weights[:, [0, 1, 3]] / 3
    torch.testing.assert_close(share.sum(dim=1), torch.ones(4000))
    assert float(share[:, 0].mean()) == pytest.approx(1 / 3, abs=0.01)
    assert float(share[:, 0].var()) == pytest.approx(1 / 18, abs=0.004)  # of Dirichlet(1, 1, 1)


def test_mean_field_is_the_minimum_of_the_divergence_by_quadrature(counted):
    target = Target(kappa=4.0, precision=0.5)
    nodes, shares = np.polynomial.hermite_e.hermegauss(40)
    total = COUNTS.sum(dim=0).numpy()
    centre = (total.sum() / 2 - total) / (4 * 0.5)  # where the prior's pull at 0 cancels that of the counts

    def divergence(free: np.ndarray) -> float:
        mean, sd = free[:2], np.exp(free[2:])
        odds = mean[1] - mean[0] + np.hypot(*sd) * nodes
        loss = (shares / shares.sum()) @ (total[1] * np.logaddexp(0, -odds) + total[0] * np.logaddexp(0, odds))
        return loss / 4 + 0.25 * ((mean - centre) @ (mean - centre) + sd @ sd) - np.log(sd).sum()

    best = optimize.minimize(divergence, np.zeros(4)).x
    posterior = mean_field.fit(torch.zeros(16, 1), counted, target=target)

    mean, sd = (by_voxel(x)[..., 0].numpy() for x in (posterior.mean, posterior.sd))
    np.testing.assert_allclose(mean.mean(axis=0), best[:2], atol=0.05)
    np.testing.assert_allclose(sd.mean(axis=0), np.exp(best[2:]), rtol=0.1)


def weightless(images: list[Cells]) -> list[Cells]:
    return [Cells(subject=c.subject, features=c.features, classes=c.classes, weight=0 * c.weight) for c in images]


@pytest.mark.parametrize("method", [mean_field, cyclical_sghmc])
def test_where_cells_tell_nothing_the_posterior_is_the_prior_around_the_trained_head(method, head, images):
    posterior = method.fit(head, weightless(images), target=Target(precision=25.0))

    samples = posterior.sample(64, seed=0)
    assert float((samples.mean(dim=0) - head).abs().mean()) < 0.05
    assert float(samples.std(dim=0).mean()) == pytest.approx(1 / 5, rel=0.12)


def test_sghmc_finds_the_curvature_that_the_cells_add(head, images):
    target = Target(kappa=1.0, precision=1.0)
    laplace_sd = torch.cholesky_inverse(mode_at(head, images, target).factor).diagonal(dim1=1, dim2=2).sqrt()

    sd = by_voxel(cyclical_sghmc.fit(head, images, target=target).heads).std(dim=0).flatten(1)

    assert float((sd / laplace_sd).median()) == pytest.approx(1, abs=0.2)


def test_swag_halves_its_covariance_between_the_diagonal_and_the_last_deviations():
    snapshots = torch.randn(30, 8, 3, generator=torch.Generator().manual_seed(0))
    posterior = swag.moments(snapshots)

    flat = (snapshots - snapshots.mean(dim=0)).flatten(1)
    last = flat[-swag.RANK :]
    expected = torch.diag(flat.square().mean(dim=0)) / 2 + last.T @ last / (2 * (swag.RANK - 1))
    directions = posterior.directions.flatten(1)
    covariance = torch.diag(posterior.sd.flatten().square()) + directions.T @ directions
    torch.testing.assert_close(covariance, expected)


def test_the_iterates_of_swag_stay_around_the_trained_head(head, images):
    target = Target(kappa=1.0, precision=1.0)
    posterior = swag.fit(head, images, target=target)

    away = posterior.mean - head
    assert float(away.abs().max()) < 0.1
    assert float(posterior.sample(64, seed=0).std(dim=0).mean()) > 1e-3


def test_the_temperature_is_that_of_least_loss_on_a_grid(head, images):
    found = temperature.fit(4 * head, images).mean

    grid = torch.linspace(0.5, 9, 300)
    losses = [sum(float(log_loss(by_voxel(4 * head / t), c).sum()) for c in images) for t in grid.tolist()]
    best = float(grid[int(np.argmin(losses))])
    assert float((4 * head / found).median()) == pytest.approx(best, abs=0.05)
