"""Diagnostics of chains whose correlation is known."""

import pytest
import torch

from models.posteriors.convergence import effective_size, split_rhat


def autoregressive(correlation: float, chains: int = 4, draws: int = 4000, quantities: int = 8) -> torch.Tensor:
    """x_t = r x_(t-1) + sqrt(1 - r^2) noise: standard normal, N (1 - r) / (1 + r) draws are independent."""
    noise = torch.randn(chains, draws, quantities, generator=torch.Generator().manual_seed(0))
    states = [noise[:, 0]]
    for t in range(1, draws):
        states.append(correlation * states[-1] + (1 - correlation**2) ** 0.5 * noise[:, t])
    return torch.stack(states, dim=1)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, -0.4])
def test_the_effective_size_of_an_autoregression_is_the_closed_form(correlation):
    sizes = effective_size(autoregressive(correlation))

    expected = 4 * 4000 * (1 - correlation) / (1 + correlation)
    assert float(sizes.mean()) == pytest.approx(expected, rel=0.1)


def test_chains_that_agree_have_a_scale_reduction_of_one():
    assert float(split_rhat(autoregressive(0.5)).max()) < 1.01


def test_chains_that_stay_apart_are_seen():
    chains = autoregressive(0.0)
    chains[0] += 1

    assert float(split_rhat(chains).min()) > 1.05
    assert float(effective_size(chains).max()) < 100


def test_one_chain_that_drifts_is_seen_since_its_halves_disagree():
    chain = autoregressive(0.0, chains=1)
    chain += torch.linspace(0, 3, chain.shape[1])[None, :, None]

    assert float(split_rhat(chain).min()) > 1.2
