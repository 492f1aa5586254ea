"""A posterior that is a list of heads."""

import pytest
import torch

from models.posteriors.heads import HeadSamples

HEADS = torch.randn(5, 8, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rounds", [1, 3])
def test_every_head_comes_as_often_as_any_other(rounds):
    drawn = HeadSamples(heads=HEADS).sample(5 * rounds, seed=0)

    for head in HEADS:
        assert int((drawn == head).all(dim=(1, 2)).sum()) == rounds


def test_no_head_comes_twice_before_all_have_come():
    drawn = HeadSamples(heads=HEADS).sample(4, seed=1)

    assert len(drawn.flatten(1).unique(dim=0)) == 4


def test_a_posterior_without_heads_is_refused():
    with pytest.raises(ValueError, match=r"heads must be .* got \(0, 8, 3\)"):
        HeadSamples(heads=HEADS[:0])
