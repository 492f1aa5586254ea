"""Findings: probabilities with their interval, the most likely, and the entropy of what is not known."""

import math

import numpy as np
import pytest
from scipy.stats import entropy

from tests.builders import finding_samples
from triage.findings import FINDINGS, findings, most_like, predictive_entropy

K = len(FINDINGS)


def test_the_probability_is_the_mean_over_the_posterior_and_lies_in_its_interval() -> None:
    samples = finding_samples("focal")

    found = findings(samples)

    assert [f.key for f in found] == [f.key for f in FINDINGS]
    np.testing.assert_allclose([f.probability for f in found], samples.mean(axis=0))
    assert all(f.low <= f.probability <= f.high for f in found)
    assert sum(f.probability for f in found) == pytest.approx(1)


@pytest.mark.parametrize("key", [f.key for f in FINDINGS])
def test_the_most_probable_finding_is_named(key: str) -> None:
    likely = most_like(findings(finding_samples(key)))

    assert likely is not None and likely.key == key


def test_without_a_classifier_nothing_is_found() -> None:
    assert findings(np.zeros((0, K))) == ()
    assert most_like(()) is None
    assert math.isnan(predictive_entropy(np.zeros((0, K))))


def test_a_probability_that_is_not_a_number_is_not_the_most_probable() -> None:
    assert most_like(findings(np.full((4, K), math.nan))) is None


def test_the_entropy_is_that_of_the_mean_not_the_mean_entropy() -> None:
    certain_but_different = np.eye(K)

    assert predictive_entropy(certain_but_different) == pytest.approx(math.log(K))


def test_the_entropy_is_that_of_scipy() -> None:
    samples = finding_samples("atrophy")

    assert predictive_entropy(samples) == pytest.approx(entropy(samples.mean(axis=0)))


def test_a_certain_finding_has_no_entropy() -> None:
    assert predictive_entropy(np.tile(np.eye(K)[0], (8, 1))) == pytest.approx(0, abs=1e-12)
