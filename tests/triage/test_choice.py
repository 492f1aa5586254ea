from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from triage.case import Format, Series, SourceFile, Weighting
from triage.choice import choose

T1 = Series(
    uid="1.2",
    pseudonym="bt-b",
    format=Format.CLASSIC,
    files=(SourceFile(path=Path("x"), sha256="0"),),
    shape=(200, 200, 200),
    spacing_mm=(1.0, 1.0, 1.0),
    weighting=Weighting.T1,
)
IN_ORDER = [
    T1,
    replace(T1, shape=(150, 150, 150), pseudonym="bt-smaller"),
    replace(T1, spacing_mm=(0.5, 0.5, 1.2), pseudonym="bt-coarser"),
    replace(T1, acquisition_3d=False, pseudonym="bt-2d"),
    replace(T1, contrast_agent=True, pseudonym="bt-agent"),
    replace(T1, weighting=Weighting.FLAIR, pseudonym="bt-flair"),
    replace(T1, weighting=Weighting.T2, pseudonym="bt-t2"),
    replace(T1, weighting=Weighting.PD, pseudonym="bt-pd"),
    replace(T1, weighting=Weighting.UNKNOWN, pseudonym="bt-unknown"),
]


@pytest.mark.parametrize("best", range(len(IN_ORDER)), ids=[series.pseudonym for series in IN_ORDER])
def test_a_series_is_chosen_before_all_that_rank_after_it(best):
    chosen, others = choose(IN_ORDER[best:][::-1])

    assert chosen is IN_ORDER[best]
    assert [other.pseudonym for other in others] == [series.pseudonym for series in IN_ORDER[best + 1 :]]


def test_between_equals_the_order_of_arrival_does_not_matter():
    equals = [replace(T1, pseudonym=f"bt-{letter}") for letter in "cab"]

    assert {choose(order)[0].pseudonym for order in permutations(equals)} == {"bt-a"}


@pytest.mark.parametrize(
    ("other", "why"),
    [(1, "covers less"), (2, "coarser"), (3, "acquired in 2D"), (4, "weighting"), (5, "weighting")],
)
def test_every_series_that_is_not_chosen_says_why(other, why):
    _, (not_chosen,) = choose([IN_ORDER[0], IN_ORDER[other]])

    assert why in not_chosen.why
    assert not_chosen.code is None
