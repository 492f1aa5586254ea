"""How long a case waits for a reviewer: several reviewers, one queue, the most doubtful case first.

Assumed: cases arrive by chance at a steady rate (Poisson), reading times are exponential with one mean whatever the
doubt, and a reading that has begun is finished. Means are those of the steady state. Doubt orders the queue, urgency
does not: a flag says that the model is unsure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

MINUTES_AN_HOUR = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Who reads the queue. minutes: mean of one reading."""

    reviewers: int
    minutes: float

    def __post_init__(self) -> None:
        if self.reviewers < 1 or not 0 < self.minutes < math.inf:
            raise ValueError(f"a team has reviewers who need minutes, got {self.reviewers} and {self.minutes}")

    def load(self, an_hour: float) -> float:
        """Reviewers that so many arrivals an hour keep busy, in Erlang."""
        return an_hour * self.minutes / MINUTES_AN_HOUR


def reviewers_needed(an_hour: float, minutes: float) -> int:
    """The fewest reviewers whose queue does not grow for ever: those whose utilisation is below 1."""
    return math.floor(Team(reviewers=1, minutes=minutes).load(an_hour)) + 1


def chance_of_waiting(load: float, servers: int) -> float:
    """Probability that an arrival finds all servers busy; 1 from a load of one Erlang a server.

    Source: Erlang 1917 (the C formula), by the recursion of the B formula: B(0) = 1, B(k) = a B(k-1) / (k + a B(k-1)),
    C = B / (1 - (a/c) (1 - B)).
    """
    if not load < servers:
        return 1.0
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def mean_waits(an_hour: Sequence[float], team: Team) -> tuple[float, ...]:
    """Mean minutes before the reading begins, of each class of arrivals, the class that is served first at the front.

    W_k = C / (c mu) / ((1 - s_{k-1}) (1 - s_k)), s_k the utilisation by classes 1 to k; infinite from s_k = 1 on.
    One class is first come, first served. Source: Cobham 1954, Operations Research 2, 70-76, for one and for c servers;
    Kella and Yechiali 1985, Stochastic Models 1, 257-262.

    It holds for classes cut out of a continuous order as well, such as thirds by doubt: there the wait at utilisation s
    by what goes before is C / (c mu) / (1 - s)^2, whose mean between s_{k-1} and s_k is W_k.
    """
    before = [0.0, *accumulate(team.load(rate) / team.reviewers for rate in an_hour)]
    first = chance_of_waiting(team.load(sum(an_hour)), team.reviewers) * team.minutes / team.reviewers
    return tuple(first / ((1 - low) * (1 - high)) if high < 1 else math.inf for low, high in pairwise(before))
