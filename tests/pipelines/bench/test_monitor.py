"""The page of the monitor: sites that are followed, delays with sites that never gave an alarm, and the page itself."""

import math
from pathlib import Path

import numpy as np

from pipelines.bench.monitor import FEW, QUIET, follow
from pipelines.bench.monitor_page import quantile, write


def test_a_site_where_much_fails_from_some_day_on_is_closed_after_it():
    failing = np.where(np.arange(QUIET + 1500) < QUIET, FEW, 0.9)

    found = follow(1, failing, worse_sd=2.0)

    assert QUIET < found["tightened"] <= found["closed"] < QUIET + 200
    assert len(found["evidence"]) == found["closed"]


def test_a_site_repeats_by_its_seed():
    failing = np.full(QUIET + 10, FEW)

    assert follow(2, failing) == follow(2, failing)


def test_of_cleaner_cases_more_are_accepted_and_a_change_comes_when_it_is_said_to():
    failing = np.where(np.arange(1600) < 100, FEW, 0.9)

    clean, usual = (follow(3, failing, worse_sd=2.0, cleaner_sd=sd, quiet=100) for sd in (1.0, 0.0))

    assert clean["accepted"] > usual["accepted"]
    assert 100 < usual["tightened"] < 300


def test_a_quantile_counts_sites_that_never_gave_an_alarm_as_the_slowest():
    delays = [30, None, 10, 20]

    assert [quantile(delays, q) for q in (0.25, 0.5, 0.75, 1.0)] == [10, 20, 30, math.inf]


def test_the_page_tells_the_figures_it_was_given(tmp_path: Path):
    delays = {
        "name": "something fails",
        "runs": 2,
        "early": 0,
        "tightened": [100, 300],
        "closed": [200, None],
        "harm": 7.0,
        "paths": [[1.0] * 600],
    }
    null = {"runs": 50, "cases": 10_000, "alarms": 1, "interval": [0.0005, 0.106], "closed": 0, "accepted": 0.8}
    settings = {"signals": 10, "calibration": 60, "quiet": 2000, "blind": 0.02, "risk": 0.05, "few": 0.01}
    results = {"null": null, "delays": [delays], "settings": settings, "mapie": {"ours": [9], "mapie": [40]}}

    page = write(results, tmp_path)

    assert "**1 of 50 sites, 2.0%**" in page
    assert "| something fails | 100 | 300 | 200 | more than watched | 7 |" in page
    assert (tmp_path / "monitor.png").stat().st_size < 150_000
