"""What sampling adds to the maps."""

import torch

from models.predictive import HELD
from models.predictive.draws import from_heads
from models.predictive.moved import move
from models.predictive.point import point

from .problems import problem


def test_the_growth_of_held_classes_adds_their_entropy_in_proportion_to_both_maps():
    p = problem(n=100, samples=20, scale=3.0)
    start = point(p.features, p.mean, p.ratio, p.samples - p.mean, held=HELD)
    draw = from_heads(p.mean, p.samples)

    _, still, still_expected, _ = move(start, p.features, p.ratio, draw, 1.0)
    _, grown, grown_expected, _ = move(start, p.features, p.ratio, draw, 3.0)

    assert float(start.held_entropy.max()) > 1e-3
    torch.testing.assert_close(grown - still, 2 * start.held_entropy, atol=1e-5, rtol=0)
    torch.testing.assert_close(grown_expected - still_expected, 2 * start.held_entropy, atol=1e-5, rtol=0)
