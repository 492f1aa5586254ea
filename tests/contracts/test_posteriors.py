"""Every posterior in the table keeps the same promises, fitted on a small problem."""

import pytest
import torch

from models.cells import Cells
from models.network import SUBVOXELS
from models.posteriors import POSTERIORS, HeadPosterior, Method

N_CLASSES, SIZE = 3, 3
HEAD = 0.5 * torch.randn(SUBVOXELS * N_CLASSES, SIZE, generator=torch.Generator().manual_seed(0))


def _image(number: int) -> Cells:
    """One of two images of each of three subjects, labelled by chance under HEAD."""
    generator = torch.Generator().manual_seed(number)
    features = torch.randn(SIZE, 60, generator=generator)
    features[-1] = 1
    p = torch.softmax((HEAD @ features).view(N_CLASSES, SUBVOXELS, -1), dim=0).permute(1, 2, 0)
    classes = torch.multinomial(p.reshape(-1, N_CLASSES), 1, generator=generator).view(SUBVOXELS, -1)
    return Cells(subject=f"subject {number // 2}", features=features, classes=classes, weight=torch.full((60,), 100.0))


IMAGES = [_image(number) for number in range(6)]


@pytest.fixture(params=POSTERIORS, scope="module")
def method(request: pytest.FixtureRequest) -> Method:
    return POSTERIORS[request.param]


@pytest.fixture(scope="module")
def posterior(method: Method) -> HeadPosterior:
    return method.fit(HEAD, IMAGES)


def test_it_is_fitted_near_the_head_from_which_the_labels_were_drawn(posterior):
    assert posterior.mean.shape == HEAD.shape
    assert float((posterior.mean - HEAD).abs().mean()) < 0.3


def test_the_same_cells_fit_the_same_posterior_whatever_was_drawn_from_torch_before(method, posterior):
    torch.manual_seed(1)

    torch.testing.assert_close(method.fit(HEAD, IMAGES).mean, posterior.mean)


def test_it_comes_back_from_its_state(method, posterior):
    again = method.load(posterior.state)

    assert torch.equal(again.mean, posterior.mean)
    assert torch.equal(again.sample(4, seed=2), posterior.sample(4, seed=2))


def test_its_state_divided_by_a_temperature_is_the_posterior_divided_by_it(method, posterior):
    cooler = method.load({key: value / 2 for key, value in posterior.state.items()})

    torch.testing.assert_close(cooler.sample(4, seed=2), posterior.sample(4, seed=2) / 2)


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

    assert bool((error <= 5 * samples.std(dim=0) / n**0.5 + 1e-3).all())
