"""The page of waits: the simulated desk behaves, and the page tells what was measured."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.bench.capacity import example, simulated_waits, write
from pipelines.plan import CLASSES
from triage.capacity import Team, mean_waits

TEAM = Team(reviewers=2, minutes=6.0)


def test_a_desk_that_is_hardly_used_makes_nobody_wait():
    assert np.all(simulated_waits(0.01, TEAM, cases=300, seed=0) == 0)


def test_a_busy_desk_reads_the_most_doubtful_first():
    first, middle, last = simulated_waits(18.0, TEAM, cases=4000, seed=0)

    assert first < middle < last


def test_the_page_tells_how_often_formula_and_simulation_agree(tmp_path: Path):
    formula = mean_waits([4.0] * len(CLASSES), TEAM)
    rows = [
        {
            "reviewers": reviewers,
            "busy": 0.6,
            "formula": formula,
            "simulated": [formula[0], formula[1] + 0.2, formula[2] + 9],
            "half_width": [0.1, 0.3, 0.5],
        }
        for reviewers in (1, 2, 4)
    ]

    page = write({"rows": rows}, tmp_path)

    assert "Of 9 simulated means, 6 have" in page
    assert f"{formula[0]:.2f}".lstrip("0") in page
    assert example().splitlines()[-1] in page
    assert (tmp_path / "capacity.png").stat().st_size == pytest.approx(60_000, abs=59_000)
