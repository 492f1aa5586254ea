"""Heads fitted from nothing on cells of few or many label maps: where is a prior worth most?

The trunk is the bundle's and had seen all label maps; whole networks are in `prior_networks`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from models.cells import Cells
from models.network import SUBVOXELS
from models.posteriors.likelihood import Target, as_head
from models.posteriors.mode import Mode, minimise

DRAWS: Mapping[int, int] = {1: 8, 2: 8, 5: 4, 20: 1}
"""Number of label maps -> how many times so many are drawn."""
TARGET = Target(precision=10.0)
"""A tenth of the precision that holds a posterior at the trained head: here the cells decide. For heads of 1 and of 5
label maps the loss on others was less than with 1 or with 0.1."""


def drawn_heads(images: Sequence[Cells], n: int) -> list[Tensor]:
    """A head (8 C, F + 1) for each draw of n of the label maps that the images were made from."""
    names = sorted({cells.subject for cells in images})
    rng = np.random.default_rng(n)
    draws = [set(rng.choice(names, n, replace=False)) for _ in range(DRAWS[n])]
    return [fit_head([cells for cells in images if cells.subject in draw]) for draw in draws]


def fit_head(images: Sequence[Cells], target: Target = TARGET) -> Tensor:
    """The mode of the target with its prior centred on zero, found from there: (8 C, F + 1)."""
    classes = 1 + max(int(cells.classes.max()) for cells in images)
    zero = torch.zeros(SUBVOXELS, classes, len(images[0].features), dtype=torch.float64)
    start = Mode(blocks=zero, centre=zero, factor=torch.linalg.cholesky(target.hessian(zero, images)))
    return as_head(minimise(lambda blocks: target.energy(blocks, zero, images), start))
