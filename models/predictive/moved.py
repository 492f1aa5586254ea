"""What sampling changes in the maps, on the voxels and among the classes that can move."""

import torch
from torch import Tensor
from torch.nn import functional

from models.parallel import map_chunks
from models.predictive.draws import Draw
from models.predictive.parts import parts
from models.predictive.point import Point
from models.predictive.rule import BITS, fused, shifted, softmax


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
    rows = torch.cat([features, torch.log2(ratio)]).T.contiguous()

    def sample(part: tuple[int, Tensor, list[int]]) -> int:
        voxel, cells, classes = part
        here, prior_bits = rows.index_select(0, cells).T.tensor_split([len(features)])
        bits, weight = draw(voxel, classes, here)
        if lesion in classes:
            prior = prior_bits[classes[:-1], None] / BITS
            logits = shifted(functional.pad(bits, (0, 0, 0, 0, 1, 0)) / BITS)
            p, h = fused(logits, prior.exp(), prior, temperature=temperature)
            mean = weight @ p
        else:
            others, h = softmax(bits.add_((prior_bits[classes[1:]] - prior_bits[classes[0]])[:, None]))
            mean = weight @ others
            mean = torch.cat([1 - mean.sum(dim=0, keepdim=True), mean]).clamp_min_(0)
        labels[voxel].index_copy_(0, cells, torch.tensor(classes, dtype=torch.uint8)[mean.argmax(dim=0)])
        more = torch.special.entr(mean).sum(dim=0) - h[0]
        entropy[voxel].index_add_(0, cells, more)
        # Jensen: E H[p] <= H[E p]. The minimum is for rounding alone.
        expected[voxel].index_add_(0, cells, torch.minimum(weight @ h - h[0], more))
        return len(cells)

    sampled = sum(map_chunks(sample, parts(start.moving, lesion)))
    return labels, entropy.clamp_min_(0), expected.clamp_min_(0), sampled / labels.numel()
