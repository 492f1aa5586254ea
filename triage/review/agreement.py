"""How far two readers agree: Dice of what they drew, kappa of what they said."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triage.anatomy import N_CLASSES
from triage.review.words import ReaderVerdict

AGREED_DICE = 0.9
"""Two corrections whose mean Dice is under this need a third reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far two readings of one case agree.

    dice: by class id, and kappa over voxels, where both made a correction; else empty, and NaN.
    """

    same_verdict: bool
    dice: Mapping[int, float]
    kappa: float

    @property
    def mean_dice(self) -> float:
        """Mean over the classes that either of them used; NaN where there is nothing to compare."""
        return sum(self.dice.values()) / len(self.dice) if self.dice else math.nan

    @property
    def agreed(self) -> bool:
        """Whether no third reader is needed."""
        return self.same_verdict and (not self.dice or self.mean_dice >= AGREED_DICE)


def agreement_of_labels(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Agreement:
    """Of two corrections, (X, Y, Z) class ids on one grid."""
    table = confusion(first, second)
    return Agreement(same_verdict=True, dice=dice_by_class(table), kappa=cohens_kappa(table))


def confusion(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(C, C) voxels by the first reader's class and the second's, where either of them labelled anything."""
    seen = (first > 0) | (second > 0)
    pairs = first[seen].astype(np.int64) * N_CLASSES + second[seen]
    return np.bincount(pairs, minlength=N_CLASSES**2).reshape(N_CLASSES, N_CLASSES)


def dice_by_class(table: NDArray[np.int64]) -> dict[int, float]:
    """Dice of every class but the background that either reader used: 2 n_cc / (n_c. + n_.c). Source: Dice 1945."""
    sizes = table.sum(axis=0) + table.sum(axis=1)
    return {c: float(2 * table[c, c] / sizes[c]) for c in range(1, len(table)) if sizes[c]}


def cohens_kappa(table: NDArray[np.int64]) -> float:
    """(p_o - p_e) / (1 - p_e) of a square table of counts; NaN when it is empty or has one class only.

    Source: Cohen 1960, eq. 1.
    """
    total = int(table.sum())
    expected = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2 if total else 1.0
    return (float(np.trace(table)) / total - expected) / (1 - expected) if expected < 1 else math.nan


def kappa_of_verdicts(pairs: Sequence[tuple[ReaderVerdict, ReaderVerdict]]) -> float:
    """Cohen's kappa of first and second verdicts over cases."""
    order = list(ReaderVerdict)
    table = np.zeros((len(order), len(order)), np.int64)
    for first, second in pairs:
        table[order.index(first), order.index(second)] += 1
    return cohens_kappa(table)
