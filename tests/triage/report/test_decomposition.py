"""The bar of a flagged case is the additive decomposition of its score."""

import math
from itertools import pairwise

import pytest

from tests.triage.wcag import contrast
from tests.verdicts import a_flagged_verdict, signal_readings
from triage.report.decomposition import PART_COLOURS, decompose


def test_the_parts_lie_side_by_side_and_add_up_to_the_score() -> None:
    verdict = a_flagged_verdict()

    bar = decompose(verdict)

    scale = bar.limit_at / verdict.limit
    assert bar.adds_up
    assert sum(s.width for s in bar.segments) == pytest.approx(verdict.score * scale)
    for before, after in pairwise(bar.segments):
        assert after.left == pytest.approx(before.left + before.width)


def test_the_largest_part_comes_first() -> None:
    widths = [segment.width for segment in decompose(a_flagged_verdict()).segments]

    assert widths == sorted(widths, reverse=True)


def test_everything_drawn_lies_inside_the_bar() -> None:
    signals = signal_readings((0.9, -0.4, 0.3, -0.1, 0, 0, 0, 0))

    bar = decompose(a_flagged_verdict(signals=signals, score=0.7, limit=0.5))

    assert bar.adds_up
    assert all(s.left >= 0 and s.left + s.width <= 100 for s in bar.segments)
    assert 0 <= bar.limit_at <= 100


def test_a_negative_part_lies_left_of_zero() -> None:
    signals = signal_readings((0.9, -0.4, 0, 0, 0, 0, 0, 0))

    bar = decompose(a_flagged_verdict(signals=signals, score=0.5))

    positive, negative, *_ = bar.segments
    assert (negative.signal.part, negative.left) == (-0.4, 0)
    assert negative.width == pytest.approx(positive.left)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_a_part_that_is_not_a_number_is_not_hidden_in_the_sum(odd: float) -> None:
    signals = signal_readings((odd, 0.2, 0, 0, 0, 0, 0, 0))

    bar = decompose(a_flagged_verdict(signals=signals, score=odd, limit=math.nan))

    assert not bar.adds_up
    assert all(math.isfinite(s.left) and math.isfinite(s.width) for s in bar.segments)


def test_a_score_that_its_parts_do_not_explain_says_how_much_is_missing() -> None:
    bar = decompose(a_flagged_verdict(score=2.0))

    assert not bar.adds_up
    assert bar.rest == pytest.approx(2.0 - 1.66)


@pytest.mark.parametrize("colour", PART_COLOURS)
def test_white_numbers_are_readable_on_every_part(colour: str) -> None:
    assert contrast("#ffffff", colour) >= 4.5
