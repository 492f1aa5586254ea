"""The posterior predictive of one image, from features computed once and a posterior over the linear head.

Three passes, each over what it needs: `point`, the mean head on every voxel; `joint`, whole samples on surveyed cells,
for volumes and their overlap; `move`, samples of the logits at the voxels and among the classes that can move, for the
maps. All arrays are class-major over the 2 mm cells of the feature grid, (C, 8, N).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.posteriors.gaussian import GaussianPosterior
from models.predictive.draws import from_gaussian, from_heads, with_moments
from models.predictive.joint import joint
from models.predictive.layout import augment, unfold
from models.predictive.moved import move
from models.predictive.point import point
from models.predictive.rule import DENSE_CELLS, cell_probability, fused

__all__ = ["DENSE_CELLS", "Predictive", "augment", "cell_probability", "fused", "predict", "unfold", "with_moments"]

POINTS = 2
"""Quasi-random points a voxel, for each class in play."""
HELD = 0.015
"""See `point`; what is held costs nothing, and its growth under samples is measured and added."""
FEW = 8
"""So few samples, as of an ensemble, may lie far from their mean, which then cannot tell what to hold: nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictive:
    """Voxel maps are cell-major, (8, N); `unfold` lays them out as (X, Y, Z).

    labels: uint8, argmax of the predictive. entropy, expected_entropy: nats.
    volumes: (S, C) float64, expected number of voxels of each class under each posterior sample.
    pairwise_dice: soft Dice over pairs of samples, averaged over pairs and the classes present, [0, 1].
    sampled: fraction of voxels sampled.
    """

    labels: Tensor
    entropy: Tensor
    expected_entropy: Tensor
    volumes: Tensor
    pairwise_dice: float
    sampled: float


def predict(
    features: Tensor,
    mean: Tensor,
    samples: Tensor,
    ratio: Tensor,
    brain: Tensor,
    *,
    temperature: float = 1.0,
    law: GaussianPosterior | None = None,
    points: int = POINTS,
    held: float = HELD,
    seed: int = 0,
) -> Predictive:
    """Predictive of every voxel.

    features: (F + 1, N), last row ones. mean: (8 C, F + 1) head at the posterior mean. samples: (S, 8 C, F + 1).
    ratio: (C - 1, N) prior ratio rho of the healthy classes. brain: (C,) bool, classes over which means are taken.
    temperature: by which mean, samples and law are divided; see `models.predictive.rule`.
    law: what the samples are drawn from, when it is a Gaussian: the maps are then those of hundreds of samples, by
    `points` and `seed` of `from_gaussian`, and the samples give the volumes alone. held: see `point`.
    """
    hold = held if len(samples) > FEW else 0.0
    start = point(features, mean, ratio, samples - mean, held=hold, temperature=temperature)
    if not len(samples):
        nothing = torch.zeros(0, len(brain), dtype=torch.float64)
        return Predictive(
            labels=start.labels,
            entropy=start.entropy,
            expected_entropy=start.entropy,
            volumes=nothing,
            pairwise_dice=math.nan,
            sampled=0.0,
        )
    whole = joint(start, features, mean, samples, ratio, temperature=temperature)
    draw = from_heads(mean, samples) if law is None else from_gaussian(law, points, seed=seed)
    labels, entropy, expected, sampled = move(start, features, ratio, draw, whole.growth, temperature=temperature)
    return Predictive(
        labels=labels,
        entropy=entropy,
        expected_entropy=expected,
        volumes=whole.mass,
        pairwise_dice=whole.pairwise_dice(brain),
        sampled=sampled,
    )
