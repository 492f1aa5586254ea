"""A Gaussian over heads against its own covariance, written out."""

import numpy as np
import pytest
import torch

from models.posteriors.gaussian import GaussianPosterior


def test_samples_have_the_covariance_of_independent_weights_and_shared_directions():
    generator = torch.Generator().manual_seed(0)
    mean, sd = torch.randn(8, 3, generator=generator), torch.rand(8, 3, generator=generator)
    directions = torch.randn(4, 8, 3, generator=generator)
    posterior = GaussianPosterior(mean=mean, sd=sd, directions=directions)

    flat = directions.view(4, -1).double().numpy()
    expected = flat.T @ flat + np.diag(sd.double().numpy().ravel() ** 2)
    empirical = np.cov(posterior.sample(8192, seed=0).view(8192, -1).double().numpy(), rowvar=False)

    np.testing.assert_allclose(empirical, expected, atol=0.05 * np.diag(expected).max())


def test_another_seed_draws_other_heads():
    posterior = GaussianPosterior(mean=torch.zeros(8, 3), sd=torch.zeros(8, 3), directions=torch.ones(2, 8, 3))

    assert not torch.equal(posterior.sample(4, seed=0), posterior.sample(4, seed=1))


def test_a_state_without_a_spread_is_a_head_without_doubt():
    posterior = GaussianPosterior.load({"mean": torch.ones(8, 3)})

    assert torch.equal(posterior.sample(2, seed=0), torch.ones(2, 8, 3))


def test_directions_of_another_head_are_refused_with_the_shapes():
    with pytest.raises(ValueError, match=r"directions \(2, 8, 4\) and sd \(8, 3\) do not fit a head \(8, 3\)"):
        GaussianPosterior(mean=torch.zeros(8, 3), sd=torch.zeros(8, 3), directions=torch.zeros(2, 8, 4))
