"""The page on corrections: how labels are counted, how cases are chosen, and that it says when nothing was won."""

import numpy as np
import pytest
import torch

from pipelines.bench.active_page import BASELINE, BUDGETS, OURS, interval, labels_needed, write
from pipelines.bench.active_strategies import STRATEGIES
from pipelines.bench.active_world import Graded, Item
from pipelines.next_cases import KEYS, Candidate
from pipelines.retrain_cells import CorrectedCells
from triage.anatomy import N_CLASSES


def item(k: int) -> Item:
    candidate = Candidate(
        pseudonym=f"case {k}", information=dict.fromkeys(KEYS, 0.01 * (k + 1)), features=np.array([float(k), 1.0])
    )
    nothing: CorrectedCells = None  # type: ignore[assignment]
    graded = Graded(features=torch.zeros(2, 1), classes=torch.zeros(8, 1))
    return Item(candidate=candidate, cells=nothing, graded=graded, volumes=np.arange(N_CLASSES) * float(k + 1))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_way_of_choosing_gives_that_many_different_cases_and_the_same_for_the_same_seed(name: str) -> None:
    items = [item(k) for k in range(12)]

    first, second = (STRATEGIES[name](items, 8, 3) for _ in range(2))

    assert first == second
    assert len(set(first)) == 8


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ([0.6, 0.7, 0.8, 0.9], 0.5),  # halfway between the live model's .5 and the first budget's .6
        ([0.5, 0.5, 0.5, 0.6], 6.0),  # halfway from 4 to 8
        ([0.5, 0.5, 0.5, 0.5], 16.0),
    ],
)
def test_labels_are_counted_along_the_lines_between_budgets(dice: list[float], expected: float) -> None:
    assert labels_needed(dice, 0.5, 0.55) == pytest.approx(expected)


def test_the_interval_holds_the_mean_and_is_a_point_without_spread() -> None:
    low, high = interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))

    assert low < 3 < high
    assert interval(np.array([2.0, 2.0])) == (2.0, 2.0)


def results(ours: float) -> dict[str, object]:
    row = {"weight": 4.0, **{f"{k}{w}": 0.1 for k in ("corrected", "same", "other") for w in ("", ".worst")}}
    curve = [[0.6, 0.65, 0.7, 0.8]] * 5
    curves = dict.fromkeys(STRATEGIES, curve) | {OURS: [[ours, *curve[0][1:]]] * 5}
    return {
        "twenty": [row],
        "pool": 29,
        "tests": {"same": 14, "other": 2},
        "live": 0.5,
        "all": 0.6,
        "strategies": curves,
    }


@pytest.mark.parametrize(("ours", "words"), [(0.6, "not beat it"), (0.7, "it beats it"), (0.52, "worse")])
def test_the_page_says_whether_it_beats_the_stronger_baseline(ours: float, words: str, tmp_path) -> None:
    text = write(results(ours), tmp_path)

    assert f"Against {BASELINE}" in text
    assert words in text
    assert "](active.png)" in text
    assert (tmp_path / "active.png").stat().st_size < 150_000
    assert f"Dice after {BUDGETS[-1]}" in text
