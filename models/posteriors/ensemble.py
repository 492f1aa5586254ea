"""A deep ensemble: a few networks trained apart, each as likely as the next; what they disagree on is not known.

Members differ in the features, not in the head alone, so they are no distribution over heads of one trunk. Laid side by
side they are: the features of all members are stacked, and member m's head reads its own rows. The predictive then
needs no change. Source: Lakshminarayanan, Pritzel and Blundell 2017, arXiv:1612.01474.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.posteriors.heads import HeadSamples


def side_by_side(heads: Sequence[Tensor]) -> HeadSamples:
    """One head (8 C, F + 1) a member, to heads of the stacked features: (M, 8 C, M F + 1)."""
    size = heads[0].shape[1] - 1
    joint = torch.zeros(len(heads), heads[0].shape[0], len(heads) * size + 1)
    for member, head in enumerate(heads):
        joint[member, :, member * size : (member + 1) * size] = head[:, :-1]
        joint[member, :, -1] = head[:, -1]
    return HeadSamples(heads=joint)


def stacked(features: Sequence[Tensor]) -> Tensor:
    """Each member's features of one image (F, I, J, K), to those that `side_by_side` reads: (M F, I, J, K)."""
    return torch.cat(list(features))
