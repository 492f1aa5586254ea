"""What the prior changed, against the rule written out for every voxel."""

import numpy as np
import torch

from models.network import SUBVOXELS
from models.predictive import augment
from models.priors.effect import prior_effect
from models.priors.fusion import fuse

C, F, N = 5, 4, 70


def test_the_effect_is_that_of_every_voxel_with_the_prior_and_without(monkeypatch):
    monkeypatch.setattr("models.priors.effect.DENSE_CELLS", 16)
    generator = torch.Generator().manual_seed(0)
    features = augment(torch.randn(F, N, generator=generator))
    head = torch.randn(SUBVOXELS * C, F + 1, generator=generator)
    ratio = torch.exp(torch.randn(C - 1, N, generator=generator))
    expected = np.zeros((4, C))
    for voxel in range(SUBVOXELS):
        for cell in range(N):
            q = torch.softmax(head.view(C, SUBVOXELS, -1)[:, voxel] @ features[:, cell], dim=0).double()
            p = fuse(q, ratio[:, cell].double())
            entropies = [float(-(d * torch.log(d)).sum()) for d in (q, p)]
            expected[:, int(p.argmax())] += [1, float(p.argmax() != q.argmax()), *entropies]

    np.testing.assert_allclose(
        prior_effect(features, head, ratio, torch.ones(C - 1, 1)), expected, rtol=1e-4, atol=1e-4
    )


def test_a_prior_that_says_nothing_changes_nothing():
    generator = torch.Generator().manual_seed(1)
    features = augment(torch.randn(F, N, generator=generator))
    head = torch.randn(SUBVOXELS * C, F + 1, generator=generator)

    voxels, relabelled, before, after = prior_effect(features, head, torch.ones(C - 1, N), torch.ones(C - 1, 1))

    assert voxels.sum() == SUBVOXELS * N
    assert relabelled.sum() == 0
    torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-5)
