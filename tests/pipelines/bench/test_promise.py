import json

import numpy as np
import pytest
from scipy.integrate import quad

from pipelines.bench.page import produce
from pipelines.bench.promise import (
    BENCH,
    DELTA,
    FAILS,
    METHODS,
    RISK,
    STEP,
    WORLDS,
    bounded,
    chosen_here,
    limits_for,
    observed,
    several,
    simulate,
)
from triage.gate.certify import needed


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("t", [0.3, 0.8, 0.95, 1.0])
def test_the_true_risk_is_the_mean_failure_rate_below_the_limit(world, t):
    total, _ = quad(lambda s: float(FAILS[world](np.array([s]))[0]), 0, t, points=[0.8] if t > 0.8 else None)

    assert float(WORLDS[world](np.array([t]))[0]) == pytest.approx(total / t)


@pytest.mark.parametrize("n", [60, 200])
def test_the_first_limit_accepts_enough_cases_to_be_certified(n):
    limits = limits_for(n)

    assert limits[0] * n > needed(RISK, DELTA)
    assert limits[-1] == pytest.approx(1, abs=STEP)


def test_the_observed_share_takes_what_the_bound_refuses():
    score = np.linspace(0, 1, 60)
    failed = score > 0.92

    assert observed(score, failed, [0.9, 1.0]) == 1.0
    assert bounded(score, failed, [0.9, 1.0]) == 0.9


def test_a_score_chosen_on_the_cases_themselves_is_the_one_that_looks_best_there():
    score, failed = np.linspace(0.01, 1, 60), np.arange(60) % 10 == 0

    assert bounded(score, failed, limits_for(60)) is None
    assert chosen_here(score, failed, limits_for(60)) is not None


def test_the_page_says_whether_the_promise_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.bench.promise.SETS", 40)
    rows = [simulate(world, n, "certified") for world in WORLDS for n in (60, 200)]
    others = [row | {"method": name} for row in rows for name in METHODS if name != "certified"]
    (tmp_path / "promise.json").write_text(json.dumps({"rows": rows + others, "several": [several(60)]}))

    page = produce(BENCH, None, tmp_path).read_text()

    assert "the promise holds" in page
    assert "| 10% | 29 | 46 |" in page
