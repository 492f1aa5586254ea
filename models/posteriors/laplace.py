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
from models.posteriors.mode import find_mode


def fit(head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT) -> GaussianPosterior:
    """Around the mode of the target. head: (8 C, F + 1), as trained."""
    mode = find_mode(head, images, target)
    gradients = subject_gradients(mode.blocks, images).flatten(2) / target.kappa
    directions = sandwich_directions(mode.factor, gradients).view(-1, *mode.blocks.shape)
    mean = as_head(mode.blocks)
    return GaussianPosterior(mean=mean, sd=torch.zeros_like(mean), directions=as_head(directions))


def sandwich_directions(factor: Tensor, gradients: Tensor) -> Tensor:
    """P g_k, what leaving subject k out changes to first order, (K, ..., D).

    factor: (..., D, D), lower L with L L^T = P^-1. gradients: (K, ..., D), of each subject's loss. They are centred:
    the prior holds the mode off the optimum of the loss, and that mean pull is no variance.
    """
    centred = gradients - gradients.mean(dim=0)
    return torch.cholesky_solve(centred.movedim(0, -1), factor).movedim(-1, 0)
