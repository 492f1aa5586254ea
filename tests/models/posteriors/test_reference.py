"""Distances from a reference that are known in closed form."""

import pytest
import torch

from models.posteriors.gaussian import GaussianPosterior
from models.posteriors.heads import HeadSamples
from models.posteriors.likelihood import by_voxel, log_probability
from models.posteriors.point import PointPosterior
from models.posteriors.reference import compare


def gaussian(head: torch.Tensor, sd: float) -> GaussianPosterior:
    return GaussianPosterior(mean=head, sd=torch.full_like(head, sd), directions=torch.zeros(0, *head.shape))


def test_a_posterior_half_as_wide_has_half_the_sd_of_weights_and_of_logits(head, images):
    distance = compare(gaussian(head, 0.05), gaussian(head, 0.1), images, n=512)

    assert distance.weight_sd_ratio == pytest.approx((0.5,) * 3, rel=1e-3)
    assert distance.logit_sd_ratio == pytest.approx((0.5,) * 3, rel=1e-3)


def test_the_same_posterior_is_at_no_distance(head, images):
    distance = compare(gaussian(head, 0.1), gaussian(head, 0.1), images, n=8)

    assert distance.weight_sd_ratio == (1, 1, 1)
    assert distance.total_variation == 0


def test_the_total_variation_is_that_of_the_mean_probabilities_weighted_by_cells(head, images):
    heads = torch.stack([head, -head])
    distance = compare(PointPosterior(mean=head), HeadSamples(heads=heads), images, n=2)

    away, total = 0.0, 0.0
    for cells in images:
        p, q = (log_probability(by_voxel(h), cells).exp() for h in heads)
        away += float((0.25 * (q - p).abs().sum(dim=1).mean(dim=0) * cells.weight).sum())
        total += float(cells.weight.sum())
    assert distance.total_variation == pytest.approx(away / total, rel=1e-5)
