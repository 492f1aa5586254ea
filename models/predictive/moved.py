"""What sampling changes in the maps, on the voxels and among the classes that can move."""

import torch
from torch import Tensor

from models.parallel import map_chunks
from models.predictive.draws import Draw
from models.predictive.point import Point, parts
from models.predictive.rule import argmax, fused, shifted, softmax


def move(
    start: Point, features: Tensor, ratio: Tensor, draw: Draw, growth: float, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Labels, entropy, expected entropy (8, N) under samples instead of the mean head; the fraction of voxels sampled.

    Classes that move share among them the mass that they have under the mean head; what the others have is held. By
    concavity H(p + d) <= H(p) - sum_c d_c log p_c: the entropy of the mass that held classes would gain is added as
    this bound (growth: see `Joint`), so that holding them lowers no score.
    """
    labels, entropy = start.labels.clone(), start.entropy + (growth - 1) * start.held_entropy
    expected = entropy.clone()
    lesion = len(ratio)

    def sample(part: tuple[int, Tensor, list[int]]) -> int:
        voxel, cells, classes = part
        logits = draw(voxel, classes, features.index_select(1, cells))
        prior = torch.stack([ratio[c].index_select(0, cells) for c in classes if c != lesion])[:, None]
        if lesion in classes:
            p, h = fused(shifted(logits), prior, temperature=temperature)
        else:
            p, h = softmax(logits.add_(torch.log(prior)))
        mean = p[:, 1:].mean(dim=1)
        labels[voxel, cells] = torch.tensor(classes, dtype=torch.uint8)[argmax(mean).long()]
        entropy[voxel, cells] += torch.special.entr(mean).sum(dim=0) - h[0]
        # Jensen: E H[p] <= H[E p]. The minimum is for rounding alone.
        here = expected[voxel, cells] + h[1:].mean(dim=0) - h[0]
        expected[voxel, cells] = torch.minimum(here, entropy[voxel, cells])
        return len(cells)

    sampled = sum(map_chunks(sample, parts(start.moving)))
    return labels, entropy.clamp_min_(0), expected.clamp_min_(0), sampled / labels.numel()
