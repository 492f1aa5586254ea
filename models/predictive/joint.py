"""What needs whole heads: volumes and overlap of samples, each sample one coherent segmentation of the image.

They are sums over the image, so a survey is enough: cells are kept with a chance that grows with what they can add, and
count by its inverse (Horvitz and Thompson 1952, JASA 47(260)). In a cell kept nothing is held: all voxels, all classes.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.parallel import map_chunks
from models.predictive.compiled import BLOCK, Array, fill_probability
from models.predictive.compiling import compiled
from models.predictive.layout import by_voxel, slices
from models.predictive.point import Point
from models.predictive.rule import BITS, SMALLEST

SURVEYED = 4096
UNIFORM_SHARE = 0.2
"""Share of the survey that is blind to the mean head, for what only samples see."""
SURVEYED_CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Joint:
    """mass: (S, C) float64, sum of p under each sample. overlap: (C, S, S) float64, sum of p_a p_b.

    growth: >= 1, mean over samples of what becomes of the entropy of held classes, as a factor.
    """

    mass: Tensor
    overlap: Tensor
    growth: float

    def pairwise_dice(self, brain: Tensor) -> float:
        """Mean of 2 sum(p_a p_b) / (sum p_a^2 + sum p_b^2) over all pairs and the present classes.

        brain: (C,) bool, the classes asked for; one of less than a voxel is not present. Source: Milletari et al. 2016,
        eq. 3. Not over pairs of neighbours: those of a Sobol sequence are drawn apart, and disagree more than chance.
        """
        first, second = torch.triu_indices(len(self.mass), len(self.mass), offset=1)
        present = brain & (self.mass.mean(dim=0) > 1)
        if not len(first) or not bool(present.any()):
            return math.nan
        square = self.overlap.diagonal(dim1=1, dim2=2)
        dice = 2 * self.overlap[:, first, second] / (square[:, first] + square[:, second])
        return float(dice[present].mean())


def joint(
    start: Point, features: Tensor, mean: Tensor, samples: Tensor, ratio: Tensor, *, temperature: float = 1.0
) -> Joint:
    """Every sample on the surveyed cells, as changes to the mean head's sums. samples: (S, 8 C, F + 1), S >= 1."""
    cells, weight = survey(start.doubt)
    heads = by_voxel(torch.cat([mean[None], samples])).permute(2, 1, 0, 3) * BITS
    against_first = heads[:, 1:] - heads[:, :1]

    def sums(part: tuple[int, slice]) -> tuple[Tensor, Tensor, Tensor]:
        voxel, here = part[0], cells[part[1]]
        odds = (against_first[voxel].flatten(0, 1) @ features[:, here]).view(*against_first.shape[1:3], -1)
        p = torch.from_numpy(_probability(odds.numpy(), torch.log2(ratio[:, here]).numpy(), np.float32(temperature)))
        weighted = p * weight[part[1]]
        overlap = weighted[:, 1:] @ p[:, 1:].transpose(1, 2) - (weighted[:, 0] * p[:, 0]).sum(dim=1)[:, None, None]
        first = p[:, 0]
        held = weighted[:, 0] * torch.log(first.clamp_min(SMALLEST)) * (first < start.bound_of(here))
        grown = held * p[:, 1:].mean(dim=1) / first.clamp_min(SMALLEST)
        return (
            (weighted[:, 1:] - weighted[:, :1]).sum(dim=2).double(),
            overlap.double(),
            torch.stack([held.sum(), grown.sum()]).double(),
        )

    work = [(voxel, part) for part in slices(len(cells), SURVEYED_CHUNK) for voxel in range(SUBVOXELS)]
    mass, overlap, held = (torch.stack(each).sum(dim=0) for each in zip(*map_chunks(sums, work), strict=True))
    return Joint(
        mass=start.mass + mass.T,
        overlap=start.square[:, None, None] + overlap,
        growth=max(1.0, float((held[1] / held[0]).nan_to_num(1.0))),
    )


@compiled
def _probability(odds: Array, log_ratio: Array, temperature: np.float32) -> Array:
    """Of every class at n voxels under K heads, (C, K, n). odds: (C - 1, K, n). Else see `fill_probability`."""
    healthy, heads, n = odds.shape
    out = np.empty((healthy + 1, heads, n), np.float32)
    prior = np.empty((healthy, BLOCK), np.float32)
    p, log_p = np.empty((healthy + 1, BLOCK), np.float32), np.empty((healthy + 1, BLOCK), np.float32)
    for start in range(0, n, BLOCK):
        stop = min(n, start + BLOCK)
        prior[:, : stop - start] = log_ratio[:, start:stop]
        for k in range(heads):
            fill_probability(odds, k, start, prior, temperature, p, log_p)
            out[:, k, start:stop] = p[:, : stop - start]
    return out


def survey(doubt: Tensor) -> tuple[Tensor, Tensor]:
    """About SURVEYED cells and what each counts for, from the doubt of the mean head (C, N): (n,), (n,).

    Every class has the same share in the chance of a cell, however small the structure. Systematic: cells are taken at
    equal steps of the summed chance, so that the image is covered evenly and nothing is random.
    """
    n = doubt.shape[1]
    if n <= SURVEYED:
        return torch.arange(n), torch.ones(n)
    # Summed in double, so that the number of threads changes no bit of it, and no cell of the survey.
    total = doubt.sum(dim=1, keepdim=True, dtype=torch.float64).float()
    share = (doubt / total.clamp_min(SMALLEST)).mean(dim=0).double()
    chance = (SURVEYED * ((1 - UNIFORM_SHARE) * share + UNIFORM_SHARE / n)).clamp_max(1)
    steps = (chance.cumsum(dim=0) - 0.5).ceil()
    cells = torch.diff(steps, prepend=torch.zeros(1)).nonzero()[:, 0]
    return cells, (1 / chance[cells]).float()
