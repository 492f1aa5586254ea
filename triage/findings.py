"""What a scan looks most like: five patterns, and their posterior probabilities. A pattern is no diagnosis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One pattern. name: follows "Pattern most like". The classifier's classes are in this order."""

    key: str
    name: str


FINDINGS: tuple[Finding, ...] = (
    Finding(key="normal", name="Normal for age-typical variation"),
    Finding(key="white_matter_lesions", name="White-matter lesions"),
    Finding(key="focal", name="Focal mass or stroke"),
    Finding(key="atrophy", name="Atrophy or ventriculomegaly"),
    Finding(key="not_assessable", name="Not assessable"),
)
NORMAL, NOT_ASSESSABLE = FINDINGS[0], FINDINGS[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingProbability:
    """Posterior predictive probability of a finding; low, high: its equal-tailed 95 % interval over the posterior."""

    key: str
    name: str
    probability: float
    low: float
    high: float


def findings(samples: NDArray[np.float64]) -> tuple[FindingProbability, ...]:
    """Every finding, in the order of FINDINGS; none without samples. samples: (S, K), one row a posterior sample."""
    if not len(samples):
        return ()
    low, high = np.quantile(samples, (0.025, 0.975), axis=0)
    rows = zip(FINDINGS, samples.mean(axis=0), low, high, strict=True)
    return tuple(
        FindingProbability(key=f.key, name=f.name, probability=float(p), low=float(a), high=float(b))
        for f, p, a, b in rows
    )


def most_like(found: tuple[FindingProbability, ...]) -> FindingProbability | None:
    """The most probable finding; None when there is none, or its probability is not a number."""
    return max((f for f in found if f.probability >= 0), key=lambda f: f.probability, default=None)


def predictive_entropy(samples: NDArray[np.float64]) -> float:
    """H[E p] over the findings, nats, in [0, log K]; NaN without samples. samples: (S, K)."""
    if not len(samples):
        return float("nan")
    p = samples.mean(axis=0)
    return float(-np.sum(p * np.log(np.maximum(p, np.finfo(np.float64).tiny))))
