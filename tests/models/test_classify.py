"""The Bayesian head of a case against scikit-learn, numerical derivatives, quadrature and brute-force sampling."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from models.classify import Classifier, find_mode, fit_classifier

D, K, N = 3, 4, 60


@pytest.fixture
def design() -> torch.Tensor:
    return torch.randn(N, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def classes() -> torch.Tensor:
    return torch.randint(K, (N,), generator=torch.Generator().manual_seed(1))


def minus_log_posterior(weights: torch.Tensor, design: torch.Tensor, classes: torch.Tensor, precision: torch.Tensor):
    loss = torch.nn.functional.cross_entropy(design @ weights.T, classes, reduction="sum")
    return loss + 0.5 * (precision * weights.square()).sum()


def a_classifier(covariance: torch.Tensor, weights: torch.Tensor) -> Classifier:
    size = weights.shape[1] - 1
    factor = torch.linalg.cholesky(covariance)
    return Classifier(centre=torch.zeros(size), scale=torch.ones(size), weights=weights, factor=factor)


@pytest.mark.parametrize("precision", [0.05, 1.0, 30.0])
def test_the_mode_is_that_of_scikit_learn(design, classes, precision):
    oracle = LogisticRegression(C=1 / precision, fit_intercept=False, tol=1e-10, max_iter=10_000)
    oracle.fit(design.numpy(), classes.numpy())

    mode = find_mode(design, classes, K, torch.full((D,), precision).double())

    np.testing.assert_allclose(mode.weights, oracle.coef_, atol=1e-5)


def test_the_mode_is_found_where_the_classes_can_be_told_apart_exactly():
    design = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]).double()
    classes = torch.tensor([0, 0, 1, 1])
    precision = torch.tensor([1e-4]).double()

    weights = find_mode(design, classes, 2, precision).weights.requires_grad_()
    minus_log_posterior(weights, design, classes, precision).backward()

    assert weights.grad.abs().max() < 1e-6


def test_the_hessian_is_the_second_derivative_of_the_log_posterior(design, classes):
    precision = torch.tensor([0.1, 1.0, 3.0]).double()
    mode = find_mode(design, classes, K, precision)

    numeric = torch.autograd.functional.hessian(
        lambda w: minus_log_posterior(w, design, classes, precision), mode.weights
    )

    np.testing.assert_allclose(mode.hessian, numeric.reshape(K * D, K * D), atol=1e-9)


def test_the_evidence_is_close_to_the_integral_over_the_weights():
    # Two classes whose weights are w and -w at the mode; with x the same for all, only their difference is informed.
    design, classes = torch.ones(40, 1).double(), torch.tensor([0] * 25 + [1] * 15)
    precision = 0.5
    # The difference u = w0 - w1 has variance 2 / precision; the sum is independent of the data and integrates to 1.
    scale = math.sqrt(2 / precision)

    def joint(u: float) -> float:
        prior = math.exp(-0.5 * (u / scale) ** 2) / (scale * math.sqrt(2 * math.pi))
        return prior * expit(u) ** 25 * expit(-u) ** 15 * 1e12

    expected = math.log(quad(joint, -10, 10, epsabs=0, epsrel=1e-8)[0]) - math.log(1e12)

    found = find_mode(design, classes, 2, torch.tensor([precision]).double()).log_evidence
    assert found == pytest.approx(expected, abs=0.02)


def test_with_enough_cases_the_predictive_is_the_exact_one():
    values = torch.randn(100, generator=torch.Generator().manual_seed(4))
    classes = (torch.rand(100, generator=torch.Generator().manual_seed(5)) < torch.sigmoid(values)).long()
    design, precision, at = values[:, None].double(), 1.0, 2.0
    signed = np.where(classes.numpy() == 1, 1.0, -1.0) * values.numpy()

    def posterior(u: float) -> float:
        # The difference of the two classes' weights has half their precision.
        return math.exp(float(np.log(expit(u * signed)).sum()) - 0.25 * precision * u * u + 50)

    exact = quad(lambda u: expit(u * at) * posterior(u), -5, 8)[0] / quad(posterior, -5, 8)[0]
    mode = find_mode(design, classes, 2, torch.tensor([precision]).double())
    # A bias of no variance makes the affine model the linear one.
    covariance = torch.zeros(2, 2, 2, 2).double()
    covariance[:, 0, :, 0] = torch.linalg.inv(mode.hessian)
    covariance[:, 1, :, 1] = 1e-12 * torch.eye(2)
    laplace = a_classifier(covariance.view(4, 4), torch.cat([mode.weights, torch.zeros(2, 1)], dim=1))

    predicted = laplace.sample(torch.tensor([at]), 4096, seed=0)[:, 1].mean()

    assert float(predicted) == pytest.approx(exact, abs=0.01)


def test_drawing_logits_is_drawing_weights():
    generator = torch.Generator().manual_seed(2)
    root = torch.randn(K * (D + 1), K * (D + 1), generator=generator).double() / 4
    covariance = root @ root.T + 0.05 * torch.eye(K * (D + 1))
    mean = torch.randn(K, D + 1, generator=generator).double()
    x = torch.randn(D, generator=generator)
    draws = torch.randn(40_000, K * (D + 1), generator=generator).double() @ torch.linalg.cholesky(covariance).T
    weights = mean + draws.view(-1, K, D + 1)
    brute = torch.softmax(weights @ torch.cat([x, torch.ones(1)]).double(), dim=1)

    drawn = a_classifier(covariance, mean).sample(x, 4096, seed=0)

    np.testing.assert_allclose(drawn.mean(dim=0), brute.mean(dim=0), atol=0.01)
    np.testing.assert_allclose(drawn.std(dim=0), brute.std(dim=0), atol=0.01)


def test_far_from_training_the_posterior_is_less_certain_than_its_mode():
    generator = torch.Generator().manual_seed(3)
    descriptors = torch.randn(40, D, generator=generator)
    classes = (descriptors[:, 0] > 0).long()
    classifier = fit_classifier(descriptors, classes, 2, torch.ones(D))
    far = torch.tensor([0.5, 40.0, -40.0])
    x = torch.cat([(far - classifier.centre) / classifier.scale, torch.ones(1)])
    at_mode = torch.softmax(classifier.weights @ x, dim=0).max()

    predictive = classifier.sample(far, 4096, seed=0).mean(dim=0).max()

    assert predictive < at_mode


def test_probabilities_sum_to_one_and_repeat_with_the_seed():
    classifier = a_classifier(torch.eye(K * (D + 1)), torch.zeros(K, D + 1))

    first, second = (classifier.sample(torch.ones(D), 16, seed=5) for _ in range(2))

    assert torch.equal(first, second)
    np.testing.assert_allclose(first.sum(dim=1), 1, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_descriptor_that_is_not_finite_gives_no_probability(bad):
    classifier = a_classifier(torch.eye(K * (D + 1)), torch.zeros(K, D + 1))

    assert bool(classifier.sample(torch.tensor([0.0, bad, 0.0]), 8, seed=0).isnan().all())


def test_tensors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        Classifier(centre=torch.zeros(D), scale=torch.ones(D), weights=torch.zeros(K, D), factor=torch.eye(K * D))


def test_what_is_stored_is_what_is_read():
    stored = a_classifier(torch.eye(K * (D + 1)), torch.zeros(K, D + 1))

    read = Classifier.from_state(stored.state)

    assert torch.equal(read.sample(torch.ones(D), 4, seed=0), stored.sample(torch.ones(D), 4, seed=0))
