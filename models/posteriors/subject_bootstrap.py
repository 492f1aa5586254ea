"""Refits of the head on subjects that weigh more or less by chance: the default posterior.

Each sample is the head that another draw of the same number of subjects could have given: a real head, with whatever
skewness the posterior has. The subject is the unit, since its voxels are not independent. Sources: Rubin 1981, Ann.
Statist. 9(1) (the Bayesian bootstrap); Newton and Raftery 1994, J. R. Statist. Soc. B 56(1) (of any likelihood).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.cells import Cells
from models.parallel import map_chunks
from models.posteriors.heads import HeadSamples
from models.posteriors.likelihood import DEFAULT, Target, as_head
from models.posteriors.mode import mode_at, refit

HEADS = 32


def fit(
    head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, n: int = HEADS, seed: int = 0
) -> HeadSamples:
    """n modes of the target, each under subject weights of its own. head: (8 C, F + 1), as trained."""
    mode = mode_at(head, images, target)
    weights = subject_weights([cells.subject for cells in images], n, seed)
    refits = map_chunks(lambda w: refit(mode, images, target, w), weights)
    return HeadSamples(heads=as_head(torch.stack(list(refits))))


def subject_weights(subjects: Sequence[str], n: int, seed: int) -> Tensor:
    """(n, images): K Dirichlet(1, ..., 1) over the K subjects, the same for every image of one, mean 1."""
    names = sorted(set(subjects))
    drawn = -torch.rand(n, len(names), generator=torch.Generator().manual_seed(seed)).log()
    share = drawn / drawn.mean(dim=1, keepdim=True)
    return share[:, [names.index(subject) for subject in subjects]]
