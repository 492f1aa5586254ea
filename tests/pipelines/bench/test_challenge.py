"""The page of the promotion rule: simulated comparisons have the truth that is asked for."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.bench import challenge
from pipelines.bench.challenge import FLIPS, SCENARIOS, SUBJECTS, coverage_pairs, dice_pairs
from pipelines.paired import MEASURES


def test_simulated_heads_differ_by_the_true_gain() -> None:
    pairs = dice_pairs(4000, -0.01, np.random.default_rng(0))

    assert np.mean([b.dice - a.dice for a, b in pairs]) == pytest.approx(-0.01, abs=5 * 0.01 / 4000**0.5)


@pytest.mark.parametrize("gain", [-0.1, 0.0, 0.1])
def test_simulated_cases_change_sides_by_the_true_gain(gain: float) -> None:
    pairs = coverage_pairs(4000, gain, np.random.default_rng(0))
    changed = np.array([float(b.accepted or 0) - float(a.accepted or 0) for a, b in pairs])

    assert changed.mean() == pytest.approx(gain, abs=0.03)
    assert np.abs(changed).mean() == pytest.approx(2 * FLIPS + abs(gain), abs=0.03)


def test_the_page_has_a_row_for_each_measure_and_truth(tmp_path: Path) -> None:
    rows = [
        {"measure": name, "gain": gain, "subjects": n, "leave": 0.5, "worse": 0.0}
        for name in SCENARIOS
        for gain in (-MEASURES[name].margin, 0.0)
        for n in SUBJECTS
    ]

    text = challenge.write({"rows": rows}, tmp_path)

    assert "| Dice | -.01 | 50.0% |" in text
    assert "| coverage | -.10 | 50.0% |" in text
    assert (tmp_path / "challenge.png").stat().st_size > 1000
