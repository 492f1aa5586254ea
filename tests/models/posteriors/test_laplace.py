"""The Laplace posterior with the subject-clustered sandwich, against brute force and real refits."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from scipy import optimize

from models.posteriors.laplace import bounded, sandwich_directions

SUBJECTS, PER_SUBJECT, D = 40, 25, 3
RIDGE = 0.5


class Clustered:
    """Logistic regression on subjects whose weights differ, so that voxels of one subject are not independent."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.x = generator.normal(size=(SUBJECTS, PER_SUBJECT, D))
        weights = np.array([0.8, -0.5, 0.3]) + 0.5 * generator.normal(size=(SUBJECTS, 1, D))
        self.y = generator.random((SUBJECTS, PER_SUBJECT)) < 1 / (1 + np.exp(-(self.x * weights).sum(axis=-1)))
        self.weights = self.fit(range(SUBJECTS))

    def loss(self, w: np.ndarray, subject: int) -> float:
        score = self.x[subject] @ w
        return float(np.logaddexp(0, np.where(self.y[subject], -score, score)).sum())

    def fit(self, subjects: Sequence[int]) -> np.ndarray:
        def total(w: np.ndarray) -> float:
            return sum(self.loss(w, k) for k in subjects) + RIDGE / 2 * w @ w

        return optimize.minimize(total, np.zeros(D), method="BFGS", options={"gtol": 1e-6}).x


@pytest.fixture(scope="module")
def clustered() -> Clustered:
    return Clustered()


def gradient(f: Callable[[np.ndarray], float], w: np.ndarray, step: float = 1e-4) -> np.ndarray:
    return np.array([(f(w + step * e) - f(w - step * e)) / (2 * step) for e in np.eye(len(w))])


def hessian(f: Callable[[np.ndarray], float], w: np.ndarray) -> np.ndarray:
    return np.array([gradient(lambda v, i=i: gradient(f, v, 1e-3)[i], w, 1e-3) for i in range(len(w))])


def directions_of(clustered: Clustered) -> np.ndarray:
    """By `sandwich_directions`, from the closed forms of the gradient and the Hessian."""
    p = 1 / (1 + np.exp(-clustered.x @ clustered.weights))
    gradients = ((p - clustered.y)[..., None] * clustered.x).sum(axis=1)
    h = np.einsum("kn,kni,knj->ij", p * (1 - p), clustered.x, clustered.x)
    factor = torch.linalg.cholesky(torch.from_numpy(h + RIDGE * np.eye(D)))
    return sandwich_directions(factor, torch.from_numpy(gradients)).numpy()


def test_the_sandwich_is_that_of_numeric_derivatives_of_the_loss(clustered):
    w = clustered.weights
    gradients = np.array([gradient(lambda v, k=k: clustered.loss(v, k), w) for k in range(SUBJECTS)])
    inverse = np.linalg.inv(
        hessian(lambda v: sum(clustered.loss(v, k) for k in range(SUBJECTS)), w) + RIDGE * np.eye(D)
    )
    centred = gradients - gradients.mean(axis=0)

    directions = directions_of(clustered)

    np.testing.assert_allclose(directions.T @ directions, inverse @ (centred.T @ centred) @ inverse, rtol=1e-3)


def test_a_direction_is_to_first_order_what_leaving_its_subject_out_changes(clustered):
    refits = [clustered.fit([k for k in range(SUBJECTS) if k != left_out]) - clustered.weights for left_out in range(8)]

    directions = directions_of(clustered)[:8]

    error = np.linalg.norm(directions - refits) / np.linalg.norm(refits)
    assert error < 3 / SUBJECTS + 0.02


def test_the_sandwich_is_wider_than_voxels_that_count_as_independent(clustered):
    """The subjects' weights differ, so the plain Laplace covariance (H + lambda I)^-1 is too narrow."""
    p = 1 / (1 + np.exp(-clustered.x @ clustered.weights))
    plain = np.linalg.inv(np.einsum("kn,kni,knj->ij", p * (1 - p), clustered.x, clustered.x) + RIDGE * np.eye(D))

    directions = directions_of(clustered)

    assert np.trace(directions.T @ directions) > 1.5 * np.trace(plain)


def test_one_odd_subject_pulls_no_more_than_two_usual_ones():
    generator = torch.Generator().manual_seed(0)
    factor = torch.linalg.cholesky(torch.eye(3).double() * 2 + 0.5)
    gradients = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    gradients[4] *= 100

    held = bounded(factor, gradients)

    centred = gradients - gradients.mean(dim=0)
    metric = torch.cholesky_inverse(factor)
    size = torch.einsum("ki,ij,kj->k", held, metric, held).sqrt()
    before = torch.einsum("ki,ij,kj->k", centred, metric, centred).sqrt()
    assert float(size[4]) == pytest.approx(2 * float(before.median()))
    torch.testing.assert_close(held[4] / held[4].norm(), centred[4] / centred[4].norm())
    usual = before <= 2 * before.median()
    assert torch.equal(held[usual], centred[usual])
