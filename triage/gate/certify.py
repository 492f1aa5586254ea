"""Certify a limit of the score: "with confidence 1 - delta at most this share of the accepted cases is bad", or refuse.

Learn-then-Test with fixed-sequence testing (Angelopoulos et al. 2021, arXiv:2110.01052, section 3 and algorithm 1). The
risk is that among accepted cases, and its bound is the exact binomial one (Clopper and Pearson 1934). It holds for
limits and scores that were fixed before these cases were looked at, and for cases drawn as those to come will be.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
MOST_CASES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What was certified of one level of risk.

    risk: at most this share of accepted cases fails. delta: what this level may spend of being wrong about that.
    first_limit: the strictest that was tested. score_limit: the largest certified limit, None when refused.
    accepted, failures, bound: at that limit, when refused at the first one. more: accepted cases still needed there, if
    none of them fails; 0 when certified.
    """

    risk: float
    delta: float
    first_limit: float
    score_limit: float | None
    accepted: int
    failures: int
    bound: float
    more: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupBound:
    """The accepted cases of one group. bound: of this group; see `group_bounds` for its confidence.

    covered: the bound is within the risk. enough: there are so many cases that it could have been.
    """

    group: str
    accepted: int
    failures: int
    bound: float
    covered: bool
    enough: bool


def upper_bound(failures: int, accepted: int, delta: float) -> float:
    """U(k, m) = Beta^-1(1 - delta; k + 1, m - k): the failure rate is below it with confidence 1 - delta; 1 for m = k.

    Equivalently the rate at which k or fewer of m fail with probability delta.
    """
    if not 0 <= failures <= accepted:
        raise ValueError(f"of {accepted} accepted cases {failures} cannot have failed")
    if failures == accepted:
        return 1.0
    return float(special.betaincinv(failures + 1, accepted - failures, 1 - delta))


def needed(risk: float, delta: float, failures: int = 0) -> int:
    """The fewest accepted cases that can certify this risk when so many of them failed; without failures
    ceil(log(delta) / log(1 - risk)).
    """
    if not (0 < risk < 1 and 0 < delta < 1):
        raise ValueError(f"risk and delta must lie between 0 and 1, got {risk} and {delta}")
    low, high = failures, MOST_CASES
    while high - low > 1:  # the bound falls with the number of cases
        middle = (low + high) // 2
        low, high = (low, middle) if upper_bound(failures, middle, delta) <= risk else (middle, high)
    return high


def certify(score: Floats, failed: Mask, limits: Mapping[float, Sequence[float]], delta: float) -> list[Level]:
    """A level for each risk, from the largest to the smallest; together they spend one delta.

    score: (n,), larger is worse; a case is accepted at a limit when its score is at or under it. What must never be
    accepted has the score infinity or NaN. failed: (n,). limits: risk -> limits fixed beforehand, tested from strict to
    loose. Each level has an equal share of delta; one of which every limit is certified hands its share on to the next
    (Wiens 2003, Pharm. Stat. 2, the fallback procedure), since then there is nothing left of it to be wrong about.
    """
    levels, spare = [], 0.0
    for risk in sorted(limits, reverse=True):
        spend = delta / len(limits) + spare
        level, all_passed = _fixed_sequence(score, failed, sorted(limits[risk]), risk, spend)
        levels.append(level)
        spare = spend if all_passed else 0.0
    return levels


def what_holds(levels: Sequence[Level]) -> Level:
    """Where every level was refused: the risk, in whole percent, that holds at the first limit which accepts most.

    That limit was fixed beforehand, so its bound holds with the level's own share of delta whatever it came to be: the
    risks at one limit are nested, and to test them from the largest down spends nothing more.
    """
    widest = max(levels, key=lambda level: (level.accepted, level.delta))
    return replace(widest, risk=math.ceil(100 * widest.bound) / 100, score_limit=widest.first_limit, more=0)


def group_bounds(groups: Mapping[str, Mask], failed: Mask, *, risk: float, delta: float) -> list[GroupBound]:
    """Each group's own bound. groups: name -> (n,) the accepted cases that are of it, all that are shown. failed: (n,).

    All bounds hold together with confidence 1 - delta, since each spends an equal share of it (Bonferroni): a reader
    picks the groups to look at. They are no part of what `certify` spends delta on.
    """
    found, each = [], delta / max(1, len(groups))
    for name, mask in groups.items():
        m, k = int(mask.sum()), int((mask & failed).sum())
        bound = upper_bound(k, m, each)
        enough = m >= needed(risk, each)
        found.append(GroupBound(group=name, accepted=m, failures=k, bound=bound, covered=bound <= risk, enough=enough))
    return found


def _fixed_sequence(
    score: Floats, failed: Mask, limits: Sequence[float], risk: float, delta: float
) -> tuple[Level, bool]:
    """Limits from strict to loose until one is not certified; whether all were."""
    tested = []
    for limit in limits:
        accepted = score <= limit  # neither infinity nor NaN is
        m, k = int(accepted.sum()), int((accepted & failed).sum())
        tested.append((limit, m, k, upper_bound(k, m, delta)))
        if not tested[-1][3] <= risk:
            break
    passed = [one for one in tested if one[3] <= risk]
    limit, m, k, bound = passed[-1] if passed else tested[0]
    level = Level(
        risk=risk,
        delta=delta,
        first_limit=limits[0],
        score_limit=limit if passed else None,
        accepted=m,
        failures=k,
        bound=bound,
        more=0 if passed else needed(risk, delta, k) - m,
    )
    return level, len(passed) == len(limits)
