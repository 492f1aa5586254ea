"""The exponents and the temperature are the one optimum of a convex problem, and it is the rule of fusion they fit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.priors.exponent import (
    FREE,
    WITHOUT_PRIOR,
    Choices,
    Exponents,
    fit,
    jackknife_error,
    loss,
    mean_loss,
    with_offsets,
)
from models.priors.fusion import fuse, prior_ratio

C, N = 4, 1500
FREQUENCY = torch.tensor([0.5, 0.3, 0.15, 0.05])
TRUTH = np.array([0.7, 0.3, 0.2])


def subject(seed: int, n: int = N) -> Choices:
    """Voxels whose labels are drawn from the model itself at TRUTH."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(C, n, generator=generator)
    atlas = torch.softmax(1.5 * torch.randn(C, n, generator=generator), dim=0)
    unlabelled = Choices.of(logits, atlas, FREQUENCY, torch.zeros(n, dtype=torch.int64))
    p = torch.softmax(torch.tensordot(torch.from_numpy(TRUTH).float(), unlabelled.terms, 1), dim=0)
    chosen = torch.multinomial(p.T, 1, generator=generator)[:, 0]
    return Choices(terms=unlabelled.terms, chosen=chosen)


@pytest.fixture(scope="module")
def subjects() -> list[Choices]:
    return [subject(seed) for seed in range(3)]


@settings(max_examples=25, deadline=None)
@given(
    temperature=st.floats(0.3, 4),
    beta=st.floats(0.01, 2),
    gamma=st.floats(0, 1),
    lesion=st.floats(0, 0.9),
)
def test_the_loss_is_that_of_the_rule_of_fusion_given_that_a_voxel_is_healthy_brain(temperature, beta, gamma, lesion):
    one = subject(0, n=50)
    background = torch.full((1, 50), 0.3)
    q = torch.softmax(one.terms[0] / temperature, dim=0)
    q = torch.cat([background, 0.7 * q]) * (1 - lesion)
    atlas = torch.cat([background, 0.7 * torch.exp(one.terms[1])])
    training = torch.cat([torch.tensor([0.8]), FREQUENCY**gamma])

    value, _ = loss(np.array([1 / temperature, beta * (1 - gamma), beta * gamma]), one)

    p = fuse(torch.cat([q, torch.full((1, 50), lesion)]), prior_ratio(atlas, training, beta))[1:-1]
    expected = -torch.log((p / p.sum(dim=0)).gather(0, one.chosen[None])).mean()
    assert value == pytest.approx(float(expected), abs=1e-4)


def test_the_gradient_is_that_of_the_loss():
    one, step = subject(1), 1e-2

    _, slope = loss(TRUTH, one)

    ends = [[loss(TRUTH + sign * step * axis, one)[0] for sign in (1, -1)] for axis in np.eye(3)]
    np.testing.assert_allclose(slope, [(up - down) / (2 * step) for up, down in ends], atol=1e-4)


def test_the_loss_is_convex_along_random_lines(subjects):
    generator = np.random.default_rng(0)
    for _ in range(20):
        a, b = generator.uniform([0.05, 0, 0], [5, 3, 3], (2, 3))

        values = [mean_loss((1 - t) * a + t * b, subjects)[0] for t in np.linspace(0, 1, 6)]

        assert np.diff(values, 2).min() > -1e-5 * max(values)


def test_the_optimum_is_that_of_a_fine_grid(subjects):
    theta, value = fit(subjects)
    step = 0.02
    around = np.round(theta / step)[:, None] * step + step * np.arange(-2, 3)

    grid = {
        (s, u, v): mean_loss(np.array([s, u, v]), subjects)[0]
        for s in around[0]
        for u in around[1].clip(0)
        for v in around[2].clip(0)
    }

    assert value <= min(grid.values()) + 1e-7
    np.testing.assert_allclose(theta, min(grid, key=lambda at: grid[at]), atol=step)


def test_what_labels_were_drawn_with_is_found_again(subjects):
    theta, _ = fit(subjects)

    found = Exponents.at(theta)

    assert found.temperature == pytest.approx(1 / 0.7, rel=0.1)
    assert found.beta == pytest.approx(0.5, abs=0.08)
    assert found.gamma == pytest.approx(0.4, abs=0.2)


def test_an_atlas_that_says_nothing_gets_no_weight():
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(C, N, generator=generator)
    misleading = torch.softmax(torch.randn(C, N, generator=generator), dim=0)
    chosen = torch.multinomial((torch.softmax(logits, dim=0) / misleading).T, 1, generator=generator)[:, 0]

    theta, _ = fit([Choices.of(logits, misleading, torch.full((C,), 0.25), chosen)])

    assert Exponents.at(theta).beta == 0


def test_without_the_prior_only_the_temperature_is_fitted(subjects):
    theta, value = fit(subjects, WITHOUT_PRIOR)

    nearby = [mean_loss(theta + np.array([step, 0, 0]), subjects)[0] for step in (-0.05, -0.01, 0.01, 0.05)]
    assert Exponents.at(theta).beta == 0
    assert fit(subjects, FREE)[1] < value < min(nearby)


OFFSETS = np.array([0.0, 0.8, -1.2, 0.3])


def test_the_loss_with_offsets_is_that_of_weighted_classes():
    one = subject(2, n=50)

    value, _ = loss(np.concatenate([TRUTH, OFFSETS]), one)

    p = torch.softmax(torch.tensordot(torch.from_numpy(TRUTH).float(), one.terms, 1), dim=0)
    p = p * torch.from_numpy(OFFSETS).exp()[:, None]
    assert value == pytest.approx(float(-torch.log((p / p.sum(dim=0)).gather(0, one.chosen[None])).mean()), abs=1e-4)


def test_the_gradient_of_the_offsets_is_that_of_the_loss():
    one, step, theta = subject(1), 1e-2, np.concatenate([TRUTH, OFFSETS])

    _, slope = loss(theta, one)

    ends = [[loss(theta + sign * step * axis, one)[0] for sign in (1, -1)] for axis in np.eye(len(theta))]
    np.testing.assert_allclose(slope, [(up - down) / (2 * step) for up, down in ends], atol=1e-4)


def test_a_class_that_the_network_takes_for_too_frequent_is_found(subjects):
    terms = [s.terms.clone() for s in subjects]
    for each in terms:
        each[0] -= torch.from_numpy(OFFSETS).float()[:, None] / TRUTH[0]
    biased = [Choices(terms=each, chosen=s.chosen) for each, s in zip(terms, subjects, strict=True)]

    theta, value = fit(biased, with_offsets(biased))

    found = Exponents.at(theta)
    first = np.log(FREQUENCY[0] / FREQUENCY).numpy() * TRUTH[2]  # gamma's part, which offsets take in
    np.testing.assert_allclose(found.offsets, OFFSETS + first, atol=0.2)
    assert found.gamma == 0 and value <= mean_loss(np.concatenate([TRUTH, OFFSETS]), biased)[0]


def test_of_a_class_that_nobody_labelled_no_offset_is_fitted(subjects):
    some = [Choices(terms=s.terms[:, :, s.chosen != 2], chosen=s.chosen[s.chosen != 2]) for s in subjects]

    bounds = with_offsets(some)

    assert bounds[3] == bounds[5] == (0, 0)
    assert all(low < high for low, high in (bounds[4], bounds[6]))


def test_the_jackknife_error_of_a_mean_is_the_standard_error(subjects):
    values = [float(loss(TRUTH, s)[0]) for s in subjects]

    error = jackknife_error(subjects, lambda some: np.array([mean_loss(TRUTH, some)[0]]))

    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)))


def test_one_subject_has_no_jackknife_error(subjects):
    assert np.isnan(jackknife_error(subjects[:1], lambda some: np.array([mean_loss(TRUTH, some)[0]]))).all()
