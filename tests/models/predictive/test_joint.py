"""The survey that volumes and overlap are measured on."""

import importlib

import numpy as np
import pytest
import torch

from models.predictive import HELD
from models.predictive.joint import joint, survey
from models.predictive.point import point

from .problems import BRAIN, probability, problem, under_each_sample

module = importlib.import_module("models.predictive.joint")


def test_a_small_image_is_surveyed_whole():
    cells, weight = survey(torch.rand(3, 50))

    assert cells.tolist() == list(range(50))
    assert torch.equal(weight, torch.ones(50))


def test_a_survey_has_the_size_asked_for_and_its_weights_estimate_sums_over_the_image(monkeypatch):
    monkeypatch.setattr(module, "SURVEYED", 400)
    generator = torch.Generator().manual_seed(0)
    doubt = torch.rand(3, 20000, generator=generator) ** 8
    doubt[2, 100:] = 0

    cells, weight = survey(doubt)

    assert len(cells) == pytest.approx(400, rel=0.25)
    estimate = (doubt[:, cells] * weight).sum(dim=1)
    np.testing.assert_allclose(estimate, doubt.sum(dim=1), rtol=0.1)
    assert len(torch.unique(cells)) == len(cells)


def test_a_small_structure_is_surveyed_as_closely_as_a_large_one(monkeypatch):
    monkeypatch.setattr(module, "SURVEYED", 400)
    doubt = torch.zeros(2, 10000)
    doubt[0, :9000] = 0.2
    doubt[1, 9000:9200] = 0.2

    cells, _ = survey(doubt)

    assert int((cells >= 9000).sum()) > 0.6 * int((cells < 9000).sum())


def test_volumes_and_overlap_from_a_survey_are_near_those_of_the_whole_image(monkeypatch):
    p = problem(n=4000, samples=8, scale=3.0, spread=0.2)
    draws = under_each_sample(p)
    exact = draws.sum(axis=(2, 3))
    start = point(p.features, p.mean, p.ratio, p.samples - p.mean, held=HELD)
    whole = joint(start, p.features, p.mean, p.samples, p.ratio).pairwise_dice(BRAIN)
    monkeypatch.setattr(module, "SURVEYED", 1000)

    found = joint(start, p.features, p.mean, p.samples, p.ratio)

    change = exact - exact.mean(axis=0)
    error = (found.mass.numpy() - exact) - (found.mass.numpy() - exact).mean(axis=0)
    assert np.sqrt((error**2).mean()) < 0.1 * np.sqrt((change**2).mean())
    assert 1 - found.pairwise_dice(BRAIN) == pytest.approx(1 - whole, rel=0.1)


def test_growth_is_what_samples_make_of_the_entropy_of_held_classes():
    p = problem(n=200, samples=32, scale=3.0, spread=0.5)
    start = point(p.features, p.mean, p.ratio, p.samples - p.mean, held=HELD)
    mean = probability(p, p.mean)
    held = mean < start.bound_of(torch.arange(200))[:, None].numpy()
    after = under_each_sample(p).mean(axis=0)

    growth = joint(start, p.features, p.mean, p.samples, p.ratio).growth

    weight = -np.log(mean) * held
    assert growth == pytest.approx((weight * after).sum() / (weight * mean).sum(), rel=1e-3)
    assert growth > 1
