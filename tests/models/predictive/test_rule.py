"""The rule from logits against the rule from probabilities."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.network import SUBVOXELS
from models.predictive import cell_probability, fused
from models.predictive.rule import DENSE_CELLS, shifted
from models.priors.fusion import fuse

from .problems import C, probability, problem


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 10), ratio_scale=st.floats(0, 3))
def test_the_fused_rule_is_the_fusion_of_the_softmax_and_its_entropy_is_minus_sum_p_log_p(seed, scale, ratio_scale):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(C, SUBVOXELS, 9, generator=generator)
    logits = logits - logits.amax(dim=0)
    ratio = torch.exp(ratio_scale * torch.randn(C - 1, 9, generator=generator))

    p, entropy = fused(logits, ratio[:, None])

    torch.testing.assert_close(p, fuse(torch.softmax(logits, dim=0), ratio[:, None]), atol=1e-5, rtol=1e-4)
    exact = fuse(torch.softmax(logits.double(), dim=0), ratio.double()[:, None])
    torch.testing.assert_close(entropy.double(), torch.special.entr(exact).sum(dim=0), atol=2e-5, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 10), temperature=st.floats(0.5, 3))
def test_a_temperature_changes_what_is_healthy_and_leaves_the_lesion_as_it_was(seed, scale, temperature):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(C, SUBVOXELS, 9, generator=generator)
    ratio = torch.exp(torch.randn(C - 1, 1, 9, generator=generator))
    was = torch.softmax(logits.double(), dim=0)

    p, entropy = fused(shifted(logits / temperature), ratio, temperature=temperature)

    torch.testing.assert_close(p[-1].double(), was[-1], atol=1e-5, rtol=1e-4)
    healthy = torch.softmax(logits[:-1].double() / temperature, dim=0) * ratio
    expected = (1 - was[-1]) * healthy / healthy.sum(dim=0)
    torch.testing.assert_close(p[:-1].double(), expected, atol=1e-5, rtol=1e-4)
    exact = torch.special.entr(torch.cat([expected, was[-1:]])).sum(dim=0)
    torch.testing.assert_close(entropy.double(), exact, atol=2e-5, rtol=1e-4)


def test_the_probability_of_a_cell_is_the_mean_over_its_eight_voxels():
    p = problem(n=DENSE_CELLS + 5, temperature=1.4)

    expected = probability(p, p.mean, prior=False).mean(axis=1)

    np.testing.assert_allclose(cell_probability(p.features, p.mean, temperature=1.4), expected, atol=1e-6)
