"""What a comparison is worth: its verdict fails closed, and it comes back from its file as it was."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.comparison import Comparison, Shadowed, as_markdown, read_comparison, write_comparison
from pipelines.paired import ALL, MEASURES, Difference, Standing
from tests.verdicts import BUNDLE
from triage.verdict import BundleId

FROZEN = "ab" * 32
CHALLENGER = BundleId(name="challenger", version="2.0.0", digest="c" * 64)


def difference(measure: str, *, group: str = ALL, gain: float = 0.0, spread: float = 0.001) -> Difference:
    """Shown by forty subjects."""
    low, high = gain - spread, gain + spread
    return Difference(
        group=group, measure=measure, subjects=40, live=0.5, challenger=0.5 + gain, gain=gain, low=low, high=high
    )


def comparison(
    *differences: Difference, shadow: tuple[Shadowed, ...] = (), cases: str = FROZEN, decided: int = 0
) -> Comparison:
    """What is not given stands as it stood."""
    given = {(one.group, one.measure) for one in differences}
    rest = [difference(name) for name in MEASURES if (ALL, name) not in given]
    return Comparison(
        live=BUNDLE,
        challenger=CHALLENGER,
        at="2026-11-23T08:00:00+00:00",
        cases=cases,
        frozen=FROZEN,
        decided=decided,
        differences=(*differences, *rest),
        shadow=shadow,
    )


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ((), Standing.NOT_WORSE),
        ((difference("dice", gain=0.02),), Standing.BETTER),
        ((difference("dice", gain=0.02), difference("augrc", gain=-0.1)), Standing.WORSE),
        ((difference("dice", gain=0.02), difference("dice", group="age: old", gain=-0.1)), Standing.WORSE),
        ((difference("dice", gain=0.02), difference("augrc", spread=0.1)), Standing.CANNOT_TELL),
        ((difference("dice", group="age: old", spread=0.1),), Standing.NOT_WORSE),
        ((difference("coverage", gain=math.nan),), Standing.CANNOT_TELL),
    ],
)
def test_worse_anywhere_is_worse_and_an_open_question_over_all_cases_leaves_it_open(
    differences: tuple[Difference, ...], expected: Standing
) -> None:
    assert comparison(*differences).standing is expected


def test_a_measure_that_nobody_took_leaves_it_open() -> None:
    whole = comparison()
    without = replace(whole, differences=whole.differences[1:])

    assert without.standing is Standing.CANNOT_TELL


def a_shadowed(*, trained_on: bool) -> Shadowed:
    return Shadowed(
        pseudonym="bt-1",
        live_accepts=True,
        challenger_accepts=True,
        rejected=False,
        agreement=1.0,
        trained_on=trained_on,
    )


def test_on_the_frozen_test_set_and_tried_in_shadow_a_challenger_that_lost_nothing_gets_leave() -> None:
    assert comparison(decided=1, shadow=(a_shadowed(trained_on=False), a_shadowed(trained_on=True))).gives_leave


def test_another_test_set_than_the_frozen_one_gives_no_leave() -> None:
    other = comparison(cases="cd" * 32)

    assert other.standing is Standing.NOT_WORSE
    assert other.objections == ("was compared on another test set than the frozen one",)
    assert "No leave to promote: the challenger was compared on another test set" in as_markdown(other)


@pytest.mark.parametrize("shadow", [(), (a_shadowed(trained_on=True),)])
def test_where_cases_were_decided_none_in_shadow_or_only_known_ones_give_no_leave(shadow: tuple[Shadowed, ...]) -> None:
    assert comparison(shadow=shadow).gives_leave
    assert not comparison(shadow=shadow, decided=3).gives_leave


def test_a_comparison_comes_back_from_its_file(tmp_path: Path) -> None:
    shadow = (Shadowed(pseudonym="bt-1", live_accepts=True, challenger_accepts=False, rejected=False, agreement=0.5),)
    whole = comparison(difference("dice", gain=0.02), shadow=shadow)
    write_comparison(whole, tmp_path / "deep" / "one.json")

    assert read_comparison(tmp_path / "deep" / "one.json") == whole


def test_a_number_that_is_none_survives_the_file_and_still_leaves_it_open(tmp_path: Path) -> None:
    write_comparison(comparison(difference("dice", gain=math.nan)), tmp_path / "one.json")

    again = read_comparison(tmp_path / "one.json")

    assert again is not None
    assert again.standing is Standing.CANNOT_TELL


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"live": 3}', "\udcff"])
def test_a_file_that_cannot_be_read_compares_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.json").write_text(text, errors="surrogateescape")

    assert read_comparison(tmp_path / "one.json") is None
    assert read_comparison(tmp_path / "none.json") is None


def test_the_table_names_what_changed_sides() -> None:
    shadow = (
        Shadowed(pseudonym="bt-lost", live_accepts=True, challenger_accepts=False, rejected=False, agreement=0.91),
        Shadowed(pseudonym="bt-won", live_accepts=False, challenger_accepts=True, rejected=True, agreement=0.75),
        Shadowed(pseudonym="bt-same", live_accepts=True, challenger_accepts=True, rejected=False, agreement=0.99),
    )

    text = as_markdown(comparison(difference("dice", group="age: old", gain=-0.1), shadow=shadow))

    assert "by the live model alone: 1 bt-lost" in text
    assert "by the challenger alone: 1 bt-won" in text
    assert "rejected by a reader: 1 bt-won" in text
    assert "of 0.750 or more (least: bt-won)" in text
    assert "| age: old | Dice | 40 | .500 | .400 | -.1000 (-.1010 to -.0990) | worse |" in text
    assert "Overall: **worse**.\n\nNo leave to promote: the challenger is worse than the live model (Dice, age" in text
