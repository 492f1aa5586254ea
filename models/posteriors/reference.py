"""How far an approximate posterior lies from the reference, in its weights and in what it predicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.cells import Cells
from models.posteriors import HeadPosterior
from models.posteriors.likelihood import by_voxel

QUARTILES = (0.25, 0.5, 0.75)
DRAWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """Distances from the reference; an exact posterior has ratios of 1 and a total variation of 0 up to noise.

    weight_sd_ratio, logit_sd_ratio: marginal posterior SD over that of the reference, quartiles over the weights, and
    over the logits of the cells (each less its voxel's mean over the classes, which no probability depends on).
    total_variation: 1/2 sum_c |p - p_reference| of the predictive, mean over the cells' voxels, weighted; in [0, 1].
    """

    weight_sd_ratio: tuple[float, float, float]
    logit_sd_ratio: tuple[float, float, float]
    total_variation: float


def compare(
    posterior: HeadPosterior, reference: HeadPosterior, images: Sequence[Cells], *, n: int = DRAWS, seed: int = 0
) -> Distance:
    """By n draws of each."""
    ours, theirs = (by_voxel(p.sample(n, seed=seed)) for p in (posterior, reference))
    logit_ratios, variation, total = [], 0.0, 0.0
    for cells in images:
        (sd, p), (reference_sd, reference_p) = predictive(ours, cells), predictive(theirs, cells)
        logit_ratios.append((sd / reference_sd).flatten())
        away = 0.5 * (p - reference_p).abs().sum(dim=1).mean(dim=0)
        variation += float((away * cells.weight).sum())
        total += float(cells.weight.sum())
    return Distance(
        weight_sd_ratio=_quartiles((ours.std(dim=0) / theirs.std(dim=0)).flatten()),
        logit_sd_ratio=_quartiles(torch.cat(logit_ratios)),
        total_variation=variation / total,
    )


def predictive(heads: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """SD of the centred logits, and mean probability, over heads (S, 8, C, D): both (8, C, n)."""
    first = second = p = torch.zeros(())
    for head in heads:
        logits = (head.flatten(0, 1) @ cells.features).view(*head.shape[:2], -1)
        logits = logits - logits.mean(dim=1, keepdim=True)
        first, second, p = first + logits, second + logits.square(), p + torch.softmax(logits, dim=1)
    n = len(heads)
    return ((second - first.square() / n).clamp_min(0) / (n - 1)).sqrt(), p / n


def _quartiles(values: Tensor) -> tuple[float, float, float]:
    """numpy's percentiles take more values than torch's."""
    import numpy as np

    low, middle, high = np.quantile(values.numpy(), QUARTILES)
    return float(low), float(middle), float(high)
