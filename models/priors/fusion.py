"""The healthy-tissue conditional Bayes rule: anatomy moves mass among healthy classes, never into or out of lesion.

q(h | healthy) = q(h) / (1 - q(lesion)),   Z = sum_h q(h | healthy) rho(h),   rho = (pi / pi_train)^beta,
p(h) = (1 - q(lesion)) q(h | healthy) rho(h) / Z,   p(lesion) = q(lesion).
"""

import torch
from torch import Tensor


def prior_ratio(atlas: Tensor, training_prior: Tensor, beta: float) -> Tensor:
    """rho = (pi / pi_train)^beta, >= 0. atlas: (H, ...), training_prior: (H,). Returns (H, ...)."""
    shape = (-1, *[1] * (atlas.ndim - 1))
    return (atlas / training_prior.view(shape)) ** beta


def fuse(probability: Tensor, ratio: Tensor) -> Tensor:
    """Posterior over classes. probability: (H + 1, ...) with lesion last; ratio: (H, ...). Returns (H + 1, ...)."""
    healthy, lesion = probability[:-1], probability[-1:]
    weighted = healthy * ratio
    scale = (1 - lesion) / weighted.sum(dim=0, keepdim=True).clamp_min(torch.finfo(weighted.dtype).tiny)
    return torch.cat([weighted * scale, lesion])


def log_evidence(probability: Tensor, ratio: Tensor) -> Tensor:
    """log Z per voxel, nats; how well anatomy at this pose agrees with the healthy part of the likelihood.

    probability: (H + 1, ...) with lesion last; ratio: (H, ...). Returns (...).
    """
    healthy = probability[:-1]
    return torch.log((healthy * ratio).sum(dim=0)) - torch.log(healthy.sum(dim=0).clamp_min(1e-12))


def log_bayes_factor(probability: Tensor, atlas: Tensor, other: Tensor, training_prior: Tensor) -> Tensor:
    """How much better one atlas explains each voxel than another does, nats.

    The exponent is 1, whatever was fitted for the rule above: sum_h q(h | healthy) pi(h) / pi_train(h) is then
    p(x | pi) / p(x | pi_train), so the difference of two logarithms is that of two marginal likelihoods.
    probability: (H + 1, ...) with lesion last; atlas, other: (H, ...); training_prior: (H,). Returns (...).
    """
    one, two = (log_evidence(probability, prior_ratio(a, training_prior, 1.0)) for a in (atlas, other))
    return one - two
