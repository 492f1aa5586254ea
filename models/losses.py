"""What the network is trained on: Dice and cross-entropy."""

from collections.abc import Callable

import torch
from monai.losses.dice import DiceLoss
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, C, X, Y, Z), classes (N, X, Y, Z) int64 -> scalar."""

ONE_VOXEL = 1.0
"""Smoothing of the Dice: a structure of a few voxels gives a bounded slope."""


def dice_and_cross_entropy() -> Loss:
    """Mean over the image's own structures of 1 - soft Dice, plus the voxels' mean cross-entropy.

    Background is left out of the Dice, and so is a class that the image does not show: its Dice is 0 by definition, and
    would pull at every voxel. Source: Milletari et al. 2016, arXiv:1606.04797; Isensee et al. 2021, Nat. Methods 18.
    """
    dice = DiceLoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        reduction="none",
        smooth_nr=ONE_VOXEL,
        smooth_dr=ONE_VOXEL,
    )

    def loss(logits: Tensor, classes: Tensor) -> Tensor:
        logits = logits.float()  # sums over millions of voxels do not fit into half precision
        each = dice(logits, classes[:, None]).flatten(1)
        shown = functional.one_hot(classes, logits.shape[1]).flatten(1, -2).any(dim=1)[:, 1:]
        mean: Tensor = (each * shown).sum() / shown.sum().clamp_min(1)
        return mean + functional.cross_entropy(logits, classes)

    return loss


def hard_dice(predicted: Tensor, classes: Tensor, n_classes: int) -> Tensor:
    """(C - 1,) float64, Dice of every class but background between two label volumes; NaN where the second has none."""
    both = classes[predicted == classes]
    inter, ours, truth = (torch.bincount(x.flatten(), minlength=n_classes)[1:] for x in (both, predicted, classes))
    return torch.where(truth > 0, 2 * inter.double() / (ours + truth), torch.nan)
