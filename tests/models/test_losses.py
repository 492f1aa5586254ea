"""Dice and cross-entropy, against their definitions."""

import math

import torch
from monai.losses.dice import DiceCELoss
from torch.nn import functional

from models.losses import dice_and_cross_entropy, hard_dice

N, SHAPE = 4, (6, 5, 4)


def logits_and_classes(*, classes_shown: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, N, *SHAPE, generator=generator)
    return logits, torch.randint(classes_shown, (1, *SHAPE), generator=generator)


def test_with_every_class_in_the_image_it_is_monais_own_sum():
    logits, classes = logits_and_classes(classes_shown=N)
    monai = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, smooth_nr=1.0, smooth_dr=1.0)

    torch.testing.assert_close(dice_and_cross_entropy()(logits, classes), monai(logits, classes[:, None]))


def test_a_class_that_the_image_does_not_show_is_not_counted_in_the_dice():
    logits, classes = logits_and_classes(classes_shown=N - 1)
    p = logits.softmax(dim=1)[0]
    dice = []
    for c in (1, 2):
        truth = (classes[0] == c).float()
        dice.append((2 * (p[c] * truth).sum() + 1) / (p[c].sum() + truth.sum() + 1))
    expected = 1 - sum(dice) / 2 + functional.cross_entropy(logits, classes)

    torch.testing.assert_close(dice_and_cross_entropy()(logits, classes), expected)


def test_an_image_of_nothing_but_background_has_its_cross_entropy_alone():
    logits, classes = logits_and_classes(classes_shown=1)

    torch.testing.assert_close(dice_and_cross_entropy()(logits, classes), functional.cross_entropy(logits, classes))


def test_a_sure_and_right_prediction_costs_nothing():
    _, classes = logits_and_classes(classes_shown=N)
    logits = 50 * functional.one_hot(classes, N).permute(0, 4, 1, 2, 3).float()

    assert dice_and_cross_entropy()(logits, classes).item() < 1e-6


def test_half_precision_logits_are_summed_in_full_precision():
    logits, classes = logits_and_classes(classes_shown=N)
    half = logits.bfloat16()

    torch.testing.assert_close(dice_and_cross_entropy()(half, classes), dice_and_cross_entropy()(half.float(), classes))


def test_the_dice_of_labels_is_twice_the_overlap_over_both_sizes_and_nan_where_the_truth_has_none():
    predicted, classes = torch.tensor([0, 1, 1, 2, 0, 3]), torch.tensor([0, 1, 2, 2, 2, 0])

    dice = hard_dice(predicted, classes, N).tolist()

    assert dice[:2] == [2 * 1 / (2 + 1), 2 * 1 / (1 + 3)]
    assert math.isnan(dice[2])
