"""The dense pass."""

import numpy as np
import torch

from models.network import SUBVOXELS
from models.predictive import HELD
from models.predictive.point import point

from .problems import C, entropy_of, probability, problem


def test_sums_and_maps_are_those_of_the_mean_head():
    p = problem(n=40, scale=3.0)
    exact = probability(p, p.mean)
    held = np.where(exact > HELD, 0, exact)

    start = point(p.features, p.mean, p.ratio, torch.zeros(0, *p.mean.shape), held=HELD)

    np.testing.assert_allclose(start.mass, exact.sum(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(start.square, (exact**2).sum(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(start.doubt, (exact * (1 - exact)).sum(axis=1), atol=1e-5)
    np.testing.assert_allclose(start.entropy, entropy_of(exact), atol=2e-5)
    np.testing.assert_allclose(start.held_entropy, entropy_of(held), atol=1e-5)
    bits = (exact > HELD).astype(int) * (2 ** np.arange(C))[:, None, None]
    np.testing.assert_array_equal(start.moving, bits.sum(axis=0))


def test_a_class_is_held_where_two_sds_of_a_logit_and_its_log_normal_mean_do_not_lift_it_over_the_bound():
    p = problem(n=10, samples=50)

    start = point(p.features, p.mean, p.ratio, p.samples - p.mean, held=HELD)

    logits = torch.einsum("soi,in->son", p.samples - p.mean, p.features)
    lesion = SUBVOXELS * (C - 1)
    variance = torch.stack([each.pow(2).mean(dim=(0, 1)) for each in (logits[:, :lesion], logits[:, lesion:])])
    bound = HELD * torch.exp(-2 * variance.sqrt() - variance / 2)
    torch.testing.assert_close(start.bound, bound, rtol=1e-4, atol=0)
    torch.testing.assert_close(start.bound_of(torch.tensor([3])), bound[[0] * (C - 1) + [1], 3:4], rtol=1e-4, atol=0)
