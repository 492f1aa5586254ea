"""The dense pass and the chunks it leaves to sampling."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.predictive import HELD
from models.predictive.point import parts, point

from .problems import C, entropy_of, probability, problem

module = importlib.import_module("models.predictive.point")


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


def test_a_class_is_held_where_one_sd_of_a_logit_does_not_lift_it_over_the_bound():
    p = problem(n=10, samples=50)

    start = point(p.features, p.mean, p.ratio, p.samples - p.mean, held=HELD)

    logits = torch.einsum("soi,in->son", p.samples - p.mean, p.features)
    sd = logits.pow(2).mean(dim=(0, 1)).sqrt()
    torch.testing.assert_close(start.bound, HELD * torch.exp(-sd), rtol=1e-4, atol=0)


@pytest.mark.parametrize("smallest", [1, 5])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 60))
def test_chunks_hold_every_voxel_with_two_classes_or_more_once_with_all_classes_that_move_there(smallest, seed, n):
    moving = torch.randint(0, 16, (8, n), generator=torch.Generator().manual_seed(seed), dtype=torch.int16)
    seen = torch.zeros(8, n, dtype=torch.int64)
    module.SMALLEST_CHUNK, module.LARGEST_CHUNK, before = smallest, 7, (module.SMALLEST_CHUNK, module.LARGEST_CHUNK)
    for voxel, cells, classes in parts(moving):
        seen[voxel, cells] += 1
        union = sum(2**c for c in classes)
        assert len(cells) <= 7
        assert all(int(bits) & ~union == 0 for bits in moving[voxel, cells])
    module.SMALLEST_CHUNK, module.LARGEST_CHUNK = before

    several = torch.tensor([bin(int(bits)).count("1") > 1 for bits in moving.ravel()]).view(8, n)
    assert torch.equal(seen, several.long())
