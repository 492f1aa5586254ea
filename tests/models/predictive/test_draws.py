"""Quasi-Monte-Carlo in the logits against closed forms and against heads drawn at random."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from models.network import SUBVOXELS
from models.posteriors.gaussian import GaussianPosterior
from models.predictive.draws import cholesky, from_gaussian, from_heads, normal_points, odds_points, with_moments
from models.predictive.rule import BITS
from models.priors.fusion import fuse

from .problems import C, F, entropy_of, problem


def law(spread: float, *, rank: int = 6, own: float = 0.0) -> GaussianPosterior:
    p = problem(n=1)
    generator = torch.Generator().manual_seed(1)
    directions = spread / rank**0.5 * torch.randn(rank, *p.mean.shape, generator=generator)
    return GaussianPosterior(mean=p.mean, sd=torch.full_like(p.mean, own), directions=directions)


def test_the_first_draw_is_the_mean_head_and_the_others_are_the_samples():
    p = problem(n=7)
    draw = from_heads(p.mean, p.samples)

    bits, weight = draw(3, [1, 4], p.features)

    for s, head in enumerate([p.mean, *p.samples]):
        logits = (head @ p.features).view(C, SUBVOXELS, -1)[:, 3]
        torch.testing.assert_close(bits[:, s] / BITS, logits[[4]] - logits[[1]])
    assert weight.tolist() == pytest.approx([0] + [1 / len(p.samples)] * len(p.samples))


@pytest.mark.parametrize("own", [0.0, 0.3])
@pytest.mark.parametrize("classes", [[0, 2, 3], [0, 2, 3, 4], [1, 4]], ids=["healthy", "with lesion", "lesion and one"])
def test_points_have_the_mean_and_the_covariance_of_the_posteriors_log_odds(own, classes):
    posterior, p = law(0.5, own=own), problem(n=9)
    bits, weight = from_gaussian(posterior, 2, seed=0)(1, classes, p.features)
    odds, weight = bits.double() / BITS, weight.double()
    heads = posterior.directions.view(-1, C, SUBVOXELS, F + 1)[:, classes, 1].double()
    parts = torch.einsum("kci,in->nck", heads, p.features.double())
    covariance = parts @ parts.mT
    own_variance = own**2 * (p.features.double() ** 2).sum(dim=0)
    n = len(classes)
    covariance += own_variance[:, None, None] * torch.eye(n)
    against = torch.cat([-torch.ones(n - 1, 1), torch.eye(n - 1)], dim=1).double()

    mean = torch.einsum("dsn,s->nd", odds, weight)

    torch.testing.assert_close(mean, odds[:, 0].T, atol=1e-4, rtol=1e-4)
    centred = odds - mean.T[:, None]
    found = torch.einsum("asn,bsn,s->nab", centred, centred, weight)
    torch.testing.assert_close(found, against @ covariance @ against.T, atol=1e-3, rtol=1e-3)


def test_the_mean_probability_of_a_lesion_whose_logit_is_far_from_certain_is_that_of_its_tail():
    """By scipy's quadrature: a point in a thousand has most of it."""
    sd, odds = 3.0, -8.0
    z, weight = odds_points(2, 2, lesion=True, seed=0)

    found = float(weight @ torch.sigmoid(odds + sd * z[:, 0]))

    exact, _ = integrate.quad(lambda x: special.expit(odds + sd * x) * stats.norm.pdf(x), -12, 12)
    assert found == pytest.approx(exact, rel=0.02)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), dimensions=st.integers(1, 11), log_points=st.integers(5, 7))
def test_points_give_all_moments_of_a_standard_normal_up_to_the_third(seed, dimensions, log_points):
    z = normal_points(2**log_points, dimensions, seed=seed).double()

    torch.testing.assert_close(z.mean(dim=0), torch.zeros(dimensions).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(dimensions).double(), atol=1e-4, rtol=0)
    third = torch.einsum("na,nb,nc->abc", z, z, z) / len(z)
    torch.testing.assert_close(third, torch.zeros_like(third), atol=1e-4, rtol=0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 6), directions=st.integers(1, 9))
@example(seed=1673, classes=6, directions=4)
@example(seed=1144, classes=6, directions=3)
def test_the_factor_gives_the_gram_matrix_also_of_rows_that_depend_on_one_another(seed, classes, directions):
    rows = torch.randn(classes, directions, 5, generator=torch.Generator().manual_seed(seed))

    lower = cholesky(rows)

    gram = torch.einsum("akn,bkn->abn", rows, rows)
    found = torch.einsum("ajn,bjn->abn", lower, lower)
    torch.testing.assert_close(found, gram, atol=5e-3 * float(gram.abs().max()), rtol=0)


def test_the_maps_of_a_gaussian_are_those_of_ten_thousand_heads_drawn_at_random():
    p, posterior = problem(n=6), law(0.3)
    z = torch.randn(10_000, len(posterior.directions), generator=torch.Generator().manual_seed(2)).double()
    moved = torch.einsum("kij,jn->kin", posterior.directions.double(), p.features.double()).flatten(1)
    logits = (posterior.mean.double() @ p.features.double()).flatten() + z @ moved
    drawn = fuse(torch.softmax(logits.view(-1, C, SUBVOXELS, 6).transpose(0, 1), dim=0), p.ratio[:, None, None]).numpy()
    total, within = drawn.mean(axis=1), entropy_of(drawn).mean(axis=0)

    found = p.predict(law=posterior, points=8, held=0.0)

    assert np.sqrt(np.mean((found.entropy.numpy() - entropy_of(total)) ** 2)) < 4e-3
    assert np.sqrt(np.mean((found.expected_entropy.numpy() - within) ** 2)) < 4e-3
    assert found.labels.numpy().tolist() == total.argmax(axis=0).tolist()


def test_the_gaussian_with_the_moments_of_samples_gives_maps_near_theirs():
    p = problem(n=50, samples=30, spread=0.2)
    p = replace(p, samples=torch.cat([p.samples, 2 * p.mean - p.samples]))

    heads, gaussian = p.predict(held=0.0), p.predict(law=with_moments(p.mean, p.samples), points=4, held=0.0)

    information = heads.entropy - heads.expected_entropy
    assert float((heads.entropy - gaussian.entropy).abs().mean()) < 0.1 * float(information.mean())
    torch.testing.assert_close(
        (gaussian.entropy - gaussian.expected_entropy).mean(), information.mean(), rtol=0.1, atol=0
    )
