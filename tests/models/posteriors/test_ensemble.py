"""Heads side by side on stacked features are the members, each on its own features."""

import torch

from models.network import SUBVOXELS
from models.posteriors.ensemble import side_by_side, stacked
from models.predictive import augment, predict

N_CLASSES, N_FEATURES, GRID, MEMBERS = 4, 5, (3, 4, 2), 3
GENERATOR = torch.Generator().manual_seed(0)
HEADS = [2 * torch.randn(SUBVOXELS * N_CLASSES, N_FEATURES + 1, generator=GENERATOR) for _ in range(MEMBERS)]
FEATURES = [torch.randn(N_FEATURES, *GRID, generator=GENERATOR) for _ in range(MEMBERS)]


def test_each_joint_head_gives_its_own_members_logits():
    joint = side_by_side(HEADS).heads @ augment(stacked(FEATURES))

    for found, head, features in zip(joint, HEADS, FEATURES, strict=True):
        torch.testing.assert_close(found, head @ augment(features))


def test_the_predictive_of_the_ensemble_is_the_mean_of_its_members_probabilities():
    each = [
        torch.softmax((head @ augment(features)).view(N_CLASSES, SUBVOXELS, -1), dim=0)
        for head, features in zip(HEADS, FEATURES, strict=True)
    ]
    mean = torch.stack(each).mean(dim=0)
    within = torch.stack([torch.special.entr(p).sum(dim=0) for p in each]).mean(dim=0)
    posterior = side_by_side(HEADS)
    ratio = torch.ones(N_CLASSES - 1, len(mean[0, 0]))
    brain = torch.ones(N_CLASSES, dtype=torch.bool)

    found = predict(augment(stacked(FEATURES)), posterior.mean, posterior.sample(MEMBERS, seed=0), ratio, brain)

    torch.testing.assert_close(found.entropy, torch.special.entr(mean).sum(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.expected_entropy, within, rtol=1e-4, atol=1e-5)
    assert torch.equal(found.labels, mean.argmax(dim=0).to(torch.uint8))
