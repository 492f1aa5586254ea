"""Evidence that is valid whenever one looks: the wealth of bettors against a claim.

As long as the claim is true no bettor can expect to gain, so wealth, 1 at the start, ever reaches 1/a with probability
at most a (Ville 1939): no number of looks at it makes a false alarm likelier.
Source: Waudby-Smith and Ramdas 2024, JRSS B 86, 1-27; Vovk et al. 2005, Algorithmic Learning in a Random World, ch. 7.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BETS = np.array([0.25, 0.5, 0.75])
"""Exponents of the bettors, bold to careful: of a rate r one claims that it is r ** exponent, and so on."""
RICH = 1e12
"""Where wealth is cut off; far beyond any alarm."""


@dataclass(slots=True)
class Bettors:
    """Money of len(BETS) bettors against one claim, or, with leading axes, against many claims at once.

    A bettor brings the money in over time: after n rounds patience / (patience + n) of it is in the pocket. So wealth
    is a mean over bettors that begin at every round n with weight patience / ((patience + n - 1) (patience + n)), and
    a late change is found too.
    """

    patience: float
    rounds: int = 0
    staked: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(BETS)))

    def play(self, returns: NDArray[np.float64]) -> None:
        """One round. returns: (..., len(BETS)) what a stake of 1 becomes, at most 1 on average if the claim is true."""
        before = self.pocket
        self.rounds += 1
        self.staked = np.minimum((self.staked + (before - self.pocket) / len(BETS)) * returns, RICH)

    @property
    def pocket(self) -> float:
        """Money that was not staked yet."""
        return self.patience / (self.patience + self.rounds)

    @property
    def wealth(self) -> NDArray[np.float64]:
        """(...) all the money there is, 1 before the first round."""
        total: NDArray[np.float64] = self.pocket + self.staked.sum(axis=-1)
        return total


def returns_on_failure(failed: NDArray[np.bool_], risk: float) -> NDArray[np.float64]:
    """What a stake against "at most `risk` of the cases fail" becomes: (...) -> (..., len(BETS)).

    The likelihood ratio of a failure rate risk ** exponent: its mean grows with the true rate, and is 1 at `risk`.
    """
    alternative = risk**BETS
    return np.where(failed[..., None], alternative / risk, (1 - alternative) / (1 - risk))


def returns_on_rank(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a stake against "no worse than those before" becomes: (...) -> (..., len(BETS)).

    p: `Ranks.add`. The density exponent * p ** (exponent - 1), large where p is small, of mean 1 if p is uniform.
    """
    density: NDArray[np.float64] = BETS * p[..., None] ** (BETS - 1)
    return density


class Ranks:
    """Values of one signal so far, those of reference first; ranks each new one among all. Larger is worse."""

    def __init__(self, reference: Sequence[float]) -> None:
        self._values = sorted(_worst_if_nan(value) for value in reference)

    def add(self, value: float, tie: float) -> float:
        """Share of values, the new one among them, that are worse; equal ones count by tie, by chance in (0, 1].

        Uniform and independent of all ranks before if the values are exchangeable. If the new ones are those of
        reference made better by an increasing map, it is larger in every case, so that bettors can only lose by it.
        Source: the smoothed p-value of Vovk et al. 2005, ch. 2.
        """
        new = _worst_if_nan(value)
        first, after = bisect_left(self._values, new), bisect_right(self._values, new)
        worse, equal = len(self._values) - after, after - first + 1
        self._values.insert(after, new)
        return (worse + tie * equal) / len(self._values)


def _worst_if_nan(value: float) -> float:
    return math.inf if math.isnan(value) else value
