"""Agreement of two label maps and of two readers, against closed forms and a voxel by voxel count."""

import math

import numpy as np
import pytest

from triage.review import ReaderVerdict
from triage.review.agreement import agreement_of_labels, cohens_kappa, confusion, kappa_of_verdicts


def test_kappa_over_voxels_is_agreement_beyond_that_of_two_readers_who_draw_their_labels_by_chance() -> None:
    first, second = (np.random.default_rng(seed).integers(0, 12, (5, 4, 3), np.uint8) for seed in (1, 2))
    second[:3] = first[:3]
    pairs = [(a, b) for a, b in zip(first.flat, second.flat, strict=True) if a or b]
    observed = sum(a == b for a, b in pairs) / len(pairs)
    by_chance = sum(a == b for a, _ in pairs for _, b in pairs) / len(pairs) ** 2

    assert agreement_of_labels(first, second).kappa == pytest.approx((observed - by_chance) / (1 - by_chance))


def test_dice_of_each_class_is_twice_the_overlap_over_both_sizes() -> None:
    first, second = np.zeros((2, 4, 1, 1), np.uint8)
    first[:3], second[1:] = 5, 5
    second[1] = 7

    assert agreement_of_labels(first, second).dice == {5: 2 * 1 / (3 + 2), 7: 0.0}


def test_air_that_neither_reader_labelled_does_not_count() -> None:
    labels = np.array([1, 2, 2, 1], np.uint8)
    with_air = np.pad(labels, 50)
    other, other_with_air = labels[::-1].copy(), np.pad(labels[::-1], 50)

    np.testing.assert_array_equal(confusion(labels, other), confusion(with_air, other_with_air))


def test_equal_maps_agree_and_empty_ones_have_nothing_to_compare() -> None:
    labels = np.array([[[1, 2], [3, 0]]], np.uint8)

    assert agreement_of_labels(labels, labels).agreed
    assert agreement_of_labels(labels, labels).mean_dice == 1.0
    assert math.isnan(agreement_of_labels(labels * 0, labels * 0).mean_dice)


def test_kappa_of_readers_who_always_say_the_same_one_word_is_not_a_number() -> None:
    pairs = [(ReaderVerdict.ACCEPT, ReaderVerdict.ACCEPT)] * 3

    assert math.isnan(kappa_of_verdicts(pairs))
    assert math.isnan(cohens_kappa(np.zeros((4, 4), np.int64)))
