"""From logits to probabilities and their entropy: softmax and the rule of `models.priors.fusion`, classes first.

The temperature was fitted on healthy tissue and speaks of nothing else, as the prior: logits come divided by it, and
the lesion's probability is that of the logits as they were.
"""

import math

import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.predictive.layout import slices

DENSE_CELLS = 2048
"""Cells at a time in a pass over every voxel: what fits a core's cache."""
SMALLEST = 1e-30
"""Below it a probability is nothing; its logarithm is still a number."""
BITS = math.log2(math.e)
"""In a nat."""


def fused(logits: Tensor, ratio: Tensor, *, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """The rule of `models.priors.fusion` from logits, and the entropy of what it gives.

    logits: (C, ...), lesion last, divided by the temperature, shifted so that exp() is safe. ratio: broadcasts to
    (C - 1, ...). Returns p (C, ...) and its entropy (...), nats.
    """
    p, scale = fused_probability(logits, ratio, temperature=temperature)
    log_p = logits.clone()
    log_p[:-1] += torch.log(ratio) + torch.log(scale.clamp_min_(SMALLEST))
    log_p[-1] = torch.log(p[-1].clamp_min(SMALLEST))
    return p, log_p.mul_(p).sum(dim=0).neg_().clamp_min_(0)


def fused_probability(logits: Tensor, ratio: Tensor, *, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """As `fused`: p (C, ...), and (...) what exp(logits) times the ratio were divided by, inverted."""
    p = exp(logits)
    as_they_were = p if temperature == 1 else exp(logits * temperature)
    lesion = as_they_were[-1] / as_they_were.sum(dim=0)
    p[:-1] *= ratio
    scale = (1 - lesion) / p[:-1].sum(dim=0).clamp_min_(SMALLEST)
    p[:-1] *= scale
    p[-1] = lesion
    return p, scale


def shifted(logits: Tensor) -> Tensor:
    """Logits less their maximum over the classes, so that exp() cannot overflow."""
    return logits - logits.amax(dim=0)


def exp(x: Tensor) -> Tensor:
    """e^x by way of 2^x, which torch computes twice as fast as e^x."""
    return (x * BITS).exp2_()


def cell_probability(features: Tensor, head: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Mean class probability of each cell under one head, without the prior. Returns (C, N).

    features: (F + 1, N); head: (8 C, F + 1), divided by the temperature.
    """
    chunks = (features[:, part] for part in slices(features.shape[1], DENSE_CELLS))
    logits = (shifted((head @ chunk).view(-1, SUBVOXELS, chunk.shape[1])) for chunk in chunks)
    nothing = torch.ones(())
    return torch.cat([fused_probability(x, nothing, temperature=temperature)[0].mean(dim=1) for x in logits], dim=1)
