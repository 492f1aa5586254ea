"""The healthy-tissue conditional Bayes rule: anatomy speaks of healthy tissue only."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.priors.atlas import Atlas
from models.priors.fusion import fuse, log_bayes_factor, log_evidence, prior_ratio

H, N = 4, 20


def likelihood(seed: int, scale: float = 2.0) -> Tensor:
    return torch.softmax(scale * torch.randn(H + 1, N, generator=torch.Generator().manual_seed(seed)), dim=0)


def ratio_of(seed: int, scale: float = 1.0) -> Tensor:
    return torch.exp(scale * torch.randn(H, N, generator=torch.Generator().manual_seed(seed)))


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), atlas=st.integers(0, 10**6), scale=st.floats(0, 8))
def test_the_probability_of_lesion_is_untouched_by_any_atlas(seed, atlas, scale):
    q = likelihood(seed)

    assert torch.equal(fuse(q, ratio_of(atlas, scale))[-1], q[-1])


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), atlas=st.integers(0, 10**6), scale=st.floats(0, 8))
def test_the_classes_still_sum_to_one(seed, atlas, scale):
    p = fuse(likelihood(seed), ratio_of(atlas, scale))

    torch.testing.assert_close(p.sum(dim=0), torch.ones(N))


def test_an_exponent_of_zero_changes_nothing():
    atlas = torch.softmax(torch.randn(H, N), dim=0)
    q = likelihood(0)

    fused = fuse(q, prior_ratio(atlas, torch.tensor([0.7, 0.1, 0.1, 0.1]), 0.0))

    torch.testing.assert_close(fused, q)


def test_an_atlas_that_says_what_training_said_changes_nothing():
    training = torch.tensor([0.7, 0.1, 0.15, 0.05])
    q = likelihood(0)

    fused = fuse(q, prior_ratio(training[:, None].expand(H, N), training, 0.8))

    torch.testing.assert_close(fused, q)


def test_the_ratio_is_the_atlas_over_the_training_prior_to_the_exponent():
    atlas, training = torch.tensor([[0.2, 0.5], [0.8, 0.5]]), torch.tensor([0.4, 0.6])

    expected = [[(0.2 / 0.4) ** 0.3, (0.5 / 0.4) ** 0.3], [(0.8 / 0.6) ** 0.3, (0.5 / 0.6) ** 0.3]]

    np.testing.assert_allclose(prior_ratio(atlas, training, 0.3), expected, rtol=1e-6)


def test_without_lesion_and_with_exponent_one_it_is_bayes_rule_under_the_atlas():
    """Two Gaussians of unit variance at -1 and 1, learnt under prior (.9, .1), met where the atlas says (.3, .7)."""
    x, training, here = 0.4, (0.9, 0.1), (0.3, 0.7)
    density = [math.exp(-((x - m) ** 2) / 2) for m in (-1, 1)]
    learnt = [d * t for d, t in zip(density, training, strict=True)]
    q = torch.tensor([*(v / sum(learnt) for v in learnt), 0.0])[:, None]

    expected = density[1] * here[1] / (density[0] * here[0] + density[1] * here[1])
    fused = fuse(q, prior_ratio(torch.tensor(here)[:, None], torch.tensor(training), 1.0))

    assert float(fused[1]) == pytest.approx(expected, rel=1e-5)


def test_healthy_classes_keep_their_odds_among_themselves_times_the_ratio():
    q, ratio = likelihood(3), ratio_of(4)

    p = fuse(q, ratio)

    torch.testing.assert_close(p[1] / p[2], q[1] / q[2] * ratio[1] / ratio[2])


def test_log_evidence_is_the_log_of_the_mean_ratio_under_the_healthy_likelihood():
    q, ratio = likelihood(1), ratio_of(2)

    expected = [math.log(sum(float(q[h, n] / (1 - q[-1, n]) * ratio[h, n]) for h in range(H))) for n in range(N)]

    np.testing.assert_allclose(log_evidence(q, ratio), expected, atol=1e-5)


def test_the_evidence_of_a_ratio_of_one_is_zero_nats():
    torch.testing.assert_close(log_evidence(likelihood(0), torch.ones(H, N)), torch.zeros(N), atol=1e-6, rtol=0)


def test_a_voxel_that_is_all_lesion_stays_a_lesion():
    q = torch.zeros(H + 1, 1)
    q[-1] = 1

    assert torch.equal(fuse(q, ratio_of(0)[:, :1]), q)


def test_the_bayes_factor_of_two_atlases_is_the_ratio_of_their_marginal_likelihoods():
    """Two Gaussians of unit variance at -1 and 1, learnt under prior (.9, .1), with some lesion beside them."""
    x, training, atlases = 0.4, (0.9, 0.1), ((0.3, 0.7), (0.8, 0.2))
    density = [math.exp(-((x - m) ** 2) / 2) for m in (-1, 1)]
    learnt = [d * t for d, t in zip(density, training, strict=True)]
    q = torch.tensor([*(0.6 * v / sum(learnt) for v in learnt), 0.4])[:, None]

    marginal = [sum(d * p for d, p in zip(density, atlas, strict=True)) for atlas in atlases]
    one, two = (torch.tensor(atlas)[:, None] for atlas in atlases)
    factor = log_bayes_factor(q, one, two, torch.tensor(training))

    assert float(factor) == pytest.approx(math.log(marginal[0] / marginal[1]), rel=1e-5)


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    pose=st.lists(st.floats(-60, 60), min_size=12, max_size=12),
    beta=st.floats(0, 5),
    gamma=st.floats(0, 1),
)
def test_the_probability_of_lesion_is_untouched_whatever_the_pose_and_the_exponents(seed, pose, beta, gamma):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.softmax(3 * torch.randn(H, 4, 5, 6, generator=generator), dim=0)
    affine = np.vstack([np.reshape(pose, (3, 4)) / [20, 20, 20, 1], [0, 0, 0, 1]])
    here = Atlas(probability=maps, affine=np.diag([3.0, 3, 3, 1])).on_grid((N, 1, 1), affine).flatten(1)
    training = torch.softmax(torch.randn(H, generator=generator), dim=0) ** gamma
    q = likelihood(seed)

    p = fuse(q, prior_ratio(here, training, beta))

    assert torch.equal(p[-1], q[-1])
    torch.testing.assert_close(p.sum(dim=0), torch.ones(N))
