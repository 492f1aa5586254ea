"""How far features lie from those of the training images, against scipy and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from models.density import fit_density, pool

D = 6


@pytest.fixture
def pooled() -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(40, D)) @ generator.normal(size=(D, D)) + 3


def test_the_distance_is_mahalanobis_under_ledoit_and_wolf_over_the_root_of_the_dimension(pooled):
    fit = LedoitWolf().fit(pooled)
    point = np.linspace(-2, 5, D)

    expected = mahalanobis(point, fit.location_, np.linalg.inv(fit.covariance_)) / math.sqrt(D)

    assert fit_density(pooled).distance(torch.from_numpy(point).float()) == pytest.approx(expected, rel=1e-4)


def test_an_image_like_those_of_training_lies_about_one_away_on_root_mean_square():
    generator = np.random.default_rng(1)
    spread = np.eye(D) + 0.3 * generator.normal(size=(D, D))
    density = fit_density(generator.normal(size=(4000, D)) @ spread)

    squared = [
        density.distance(torch.from_numpy(row).float()) ** 2 for row in generator.normal(size=(1000, D)) @ spread
    ]

    assert np.mean(squared) == pytest.approx(1, abs=0.1)


def test_the_mean_of_the_training_images_lies_at_zero(pooled):
    assert fit_density(pooled).distance(torch.from_numpy(pooled.mean(axis=0)).float()) == pytest.approx(0, abs=1e-5)


def test_a_feature_that_is_not_a_number_gives_a_distance_that_is_not_a_number(pooled):
    features = torch.zeros(D)
    features[2] = math.nan

    assert math.isnan(fit_density(pooled).distance(features))


def test_pooling_is_the_mean_of_each_feature_weighted_by_the_probability_of_the_group():
    features, probability = torch.rand(3, 20), torch.softmax(torch.randn(4, 20), dim=0)
    groups = [(1, 3), (2,)]

    expected = [np.average(features[f], weights=probability[list(ids)].sum(dim=0)) for ids in groups for f in range(3)]

    np.testing.assert_allclose(pool(features, probability, groups), expected, rtol=1e-5)


def test_an_image_without_a_tissue_has_no_distance(pooled):
    probability = torch.tensor([[1.0, 1.0], [0.0, 0.0]])

    assert torch.isnan(pool(torch.rand(D, 2), probability, [(1,)])).all()
