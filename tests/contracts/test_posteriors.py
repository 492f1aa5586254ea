"""Every posterior in the table keeps the same promises."""

import pytest
import torch

from models.posteriors import POSTERIORS, HeadPosterior

HEAD = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
STATE = {"directions": 0.1 * torch.randn(6, 16, 5, generator=torch.Generator().manual_seed(1))}
"""What a bundle saves for every method: each takes what it needs."""


@pytest.fixture(params=POSTERIORS)
def posterior(request: pytest.FixtureRequest) -> HeadPosterior:
    return POSTERIORS[request.param](HEAD, STATE)


def test_its_mean_is_the_head_that_it_was_built_from(posterior):
    assert torch.equal(posterior.mean, HEAD)


@pytest.mark.parametrize("n", [1, 2, 31, 32])
def test_it_draws_as_many_heads_as_asked_each_of_the_heads_shape(posterior, n):
    samples = posterior.sample(n, seed=0)

    assert samples.shape == (n, *HEAD.shape)
    assert samples.dtype == torch.float32
    assert bool(torch.isfinite(samples).all())


def test_the_same_seed_draws_the_same_heads_to_the_last_bit(posterior):
    assert torch.equal(posterior.sample(8, seed=3), posterior.sample(8, seed=3))


def test_it_draws_the_same_heads_whatever_was_drawn_from_torch_before(posterior):
    torch.manual_seed(0)
    first = posterior.sample(8, seed=3)
    torch.manual_seed(1)

    assert torch.equal(posterior.sample(8, seed=3), first)


def test_drawing_leaves_torchs_own_random_numbers_alone(posterior):
    before = torch.random.get_rng_state()

    posterior.sample(8, seed=3)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_mean_of_many_heads_is_near_its_mean(posterior):
    n = 512
    samples = posterior.sample(n, seed=0)

    error = (samples.mean(dim=0) - posterior.mean).abs()

    assert bool((error <= 4 * samples.std(dim=0) / n**0.5 + 1e-6).all())
