"""Does the promise of an operating point still hold? Two watches: blind reviews, and every signal.

Both are on accepted cases, which the promise is about: whatever else arrives is in front of a human anyway.

Source: Podkopaev and Ramdas 2022, ICLR (the risk of a deployed model, watched at every moment).
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum

import numpy as np

from triage.gate.betting import BETS, Bettors, Ranks, returns_on_failure, returns_on_rank

LEVEL = 0.05
"""Probability of ever tightening a gate whose promise holds; of ever closing it: a tenth of that."""
PATIENCE_REVIEWS, PATIENCE_CASES = 50.0, 1000.0
"""Rounds after which half of the money is in the game; delays hardly depend on them."""
FAILURES = "failures"
"""Name of the evidence from blind reviews, beside the names of the signals."""


class Stance(StrEnum):
    """How the gate stands, by the most evidence that there has ever been against it."""

    AS_SET = "as_set"
    TIGHTENED = "tightened"
    CLOSED = "closed"


class Monitor:
    """Evidence against one operating point. A new operating point begins a new one: no other way lifts an alarm.

    risk: that the failure rate among accepted cases may have. reference: values of each signal on those calibration
    cases that were accepted; for a signal without any the first cases take their place. most: evidence that there ever
    was; driver: its source.
    """

    def __init__(self, *, risk: float, reference: Mapping[str, Sequence[float]]) -> None:
        if not 0 < risk < 1:
            raise ValueError(f"the risk lies between 0 and 1, got {risk}")
        self._risk = risk
        self._ranks = {name: Ranks(values) for name, values in reference.items()}
        self._on_failures = Bettors(patience=PATIENCE_REVIEWS)
        self._on_signals = Bettors(patience=PATIENCE_CASES, staked=np.zeros((len(reference), len(BETS))))
        self.most, self.driver = self.evidence, FAILURES

    def see(self, signals: Mapping[str, float], tie: float) -> None:
        """One accepted case. tie: in (0, 1], by chance but repeatable. A signal that it lacks counts as the worst."""
        ranks = [rank.add(signals.get(name, math.nan), tie) for name, rank in self._ranks.items()]
        self._on_signals.play(returns_on_rank(np.array(ranks)))
        self._remember()

    def review(self, *, failed: bool) -> None:
        """One blind review of an accepted case."""
        self._on_failures.play(returns_on_failure(np.array(failed), self._risk))
        self._remember()

    @property
    def parts(self) -> dict[str, float]:
        """Evidence by its source: half of all money is on failures, the signals share the other half."""
        share = 0.5 / max(len(self._ranks), 1)
        drifts = zip(self._ranks, self._on_signals.wealth, strict=True)
        return {FAILURES: 0.5 * float(self._on_failures.wealth), **{name: share * float(w) for name, w in drifts}}

    @property
    def evidence(self) -> float:
        """The largest part. As long as the promise holds it ever reaches 1/a with probability at most a (Bonferroni).

        Not their sum: the ranks of a signal are independent of its own past, not of the past of all signals.
        """
        return max(self.parts.values())

    @property
    def stance(self) -> Stance:
        """An alarm does not go away by itself."""
        return stance_at(self.most)

    def _remember(self) -> None:
        parts = self.parts
        strongest = max(parts, key=parts.__getitem__)
        if not parts[strongest] <= self.most:
            self.most, self.driver = parts[strongest], strongest


def stance_at(evidence: float) -> Stance:
    """Tightened from 1 / LEVEL on, closed from ten times that on; evidence that is no number closes."""
    if evidence < 1 / LEVEL:
        return Stance.AS_SET
    return Stance.TIGHTENED if evidence < 10 / LEVEL else Stance.CLOSED
