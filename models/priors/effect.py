"""What the anatomical prior decided: the point estimate with it and without, voxel by voxel."""

import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.predictive import DENSE_CELLS, fused


def prior_effect(
    features: Tensor, head: Tensor, ratio: Tensor, class_weight: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """(4, C) float64, by the class with the prior: voxels, those of another class without it, and two sums in nats.

    The sums are of the entropy without the prior and with it. features: (F + 1, N), last row ones; head: (8 C, F + 1),
    divided by the temperature; ratio: (C - 1, N), of which class_weight, (C - 1, 1), is there without the prior too.
    """
    classes = len(ratio) + 1
    total = torch.zeros(4, classes, dtype=torch.float64)
    parts = zip(*(torch.split(rows, DENSE_CELLS, dim=1) for rows in (features, ratio)), strict=True)
    for cells, here in parts:
        logits = (head @ cells).view(classes, SUBVOXELS, -1)
        logits = logits - logits.amax(dim=0)
        without, before = fused(logits, class_weight[:, None], temperature=temperature)
        p, after = fused(logits, here[:, None], temperature=temperature)
        labels = p.argmax(dim=0).ravel()
        changed = labels != without.argmax(dim=0).ravel()
        values = (torch.ones_like(before.ravel()), changed, before.ravel(), after.ravel())
        total += torch.stack([torch.bincount(labels, value.double(), classes) for value in values])
    return total
