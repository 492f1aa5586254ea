"""Laplace posterior of the head with the subject-clustered sandwich covariance.

Sigma = P J P with P = (H + lambda I)^-1 and J = sum_k g_k g_k^T over subjects k: the voxels of one subject are not
independent, so the subject is the unit of information (Huber 1967; Liang and Zeger 1986, Biometrika 73(1), eq. 2.5).
J has the rank of the number of subjects K, so a sample is exact and cheap: mean + sum_k z_k P g_k, z ~ N(0, I).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.cells import Cells
from models.posteriors.gaussian import GaussianPosterior
from models.posteriors.likelihood import DEFAULT, Target, as_head, subject_gradients
from models.posteriors.mode import mode_at

LARGEST_INFLUENCE = 2.0
"""In medians of the subjects' influence."""


def fit(head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT) -> GaussianPosterior:
    """Around the trained head, (8 C, F + 1)."""
    mode = mode_at(head, images, target)
    gradients = subject_gradients(mode.blocks, images).flatten(2) / target.kappa
    directions = sandwich_directions(mode.factor, bounded(mode.factor, gradients)).view(-1, *mode.blocks.shape)
    mean = as_head(mode.blocks)
    return GaussianPosterior(mean=mean, sd=torch.zeros_like(mean), directions=as_head(directions))


def sandwich_directions(factor: Tensor, gradients: Tensor) -> Tensor:
    """P g_k, what leaving subject k out changes to first order, (K, ..., D).

    factor: (..., D, D), lower L with L L^T = P^-1. gradients: (K, ..., D), of each subject's loss. They are centred:
    the trained head is not the optimum of this loss, and that mean pull is no variance.
    """
    centred = gradients - gradients.mean(dim=0)
    solved: Tensor = torch.cholesky_solve(centred.movedim(0, -1), factor)
    return solved.movedim(-1, 0)


def bounded(factor: Tensor, gradients: Tensor) -> Tensor:
    """Gradients of which none is larger than LARGEST_INFLUENCE medians, in the metric P, once they are centred.

    Without it one odd subject is the posterior: its direction is the only one that a few samples see. Source: the
    self-standardised bound of Krasker and Welsch 1982, J. Am. Statist. Assoc. 77(379).
    """
    centred = gradients - gradients.mean(dim=0)
    white: Tensor = torch.linalg.solve_triangular(factor, centred.movedim(0, -1), upper=False)
    influence = white.square().sum(dim=-2).sqrt().movedim(-1, 0)
    limit = LARGEST_INFLUENCE * influence.median(dim=0).values
    return centred * (limit / influence).clamp_max(1)[..., None]
