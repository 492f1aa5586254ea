"""What sampling changes in the maps, on the voxels and among the classes that can move."""

import torch
from torch import Tensor
from torch.nn import functional

from models.parallel import map_chunks
from models.predictive.draws import Draw
from models.predictive.parts import parts
from models.predictive.point import Point
from models.predictive.rule import BITS, argmax, fused, shifted, softmax


def move(
    start: Point, features: Tensor, ratio: Tensor, draw: Draw, growth: float, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Labels, entropy, expected entropy (8, N) under samples instead of the mean head; the fraction of voxels sampled.

    Classes that move share among them the mass that they have under the mean head; what the others have is held. By
    concavity H(p + d) <= H(p) - sum_c d_c log p_c: the entropy of the mass that held classes would gain is added as
    this bound (growth: see `Joint`), so that holding them lowers no score.
    """
    some = (start.moving & (start.moving - 1)).any(dim=0).nonzero()[:, 0]
    moving, labels = start.moving[:, some], start.labels[:, some]
    entropy, expected = torch.zeros(2, *moving.shape)
    lesion = len(ratio)
    rows = torch.cat([features[:, some], torch.log2(ratio[:, some])]).T.contiguous()

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
        labels[voxel, cells] = torch.tensor(classes, dtype=torch.uint8)[argmax(mean).int()]
        entropy[voxel, cells] = torch.special.entr(mean).sum(dim=0) - h[0]
        expected[voxel, cells] = weight @ h - h[0]
        return len(cells)

    sampled = sum(map_chunks(sample, parts(moving, lesion)))
    before = start.entropy + (growth - 1) * start.held_entropy

    def changed(by: Tensor) -> Tensor:
        return before.index_copy(1, some, before[:, some] + by).clamp_min_(0)

    # Jensen: E H[p] <= H[E p]. The minimum is for rounding alone.
    maps = changed(entropy), changed(torch.minimum(expected, entropy))
    return start.labels.index_copy(1, some, labels), *maps, sampled / start.labels.numel()
