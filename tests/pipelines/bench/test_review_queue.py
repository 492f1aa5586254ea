"""The page of the queue: every piece is measured on a desk full of cases, and what is over the budget says so."""

from pathlib import Path

import pytest

from pipelines.bench import review_queue
from pipelines.bench.page import Inputs

FIGURES = {
    "load": 7.4,
    "sqlite": {
        "version": "3.40.1",
        "ms": {
            "first page": {"processor": 22.2, "median": 202.0, "fastest": 135.0},
            "one route": {"processor": 200.5, "median": 900.0, "fastest": 300.0},
        },
    },
}


def test_every_piece_is_measured_on_a_desk_as_full_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WAITING": 200, "READ_ALREADY": 10, "REPEATS": 2}.items():
        monkeypatch.setattr(review_queue, name, value)
    monkeypatch.delenv("BRAIN_TRIAGE_BENCH_POSTGRESQL", raising=False)
    measured = review_queue.measure(Inputs(data=tmp_path, cache=tmp_path))

    assert set(measured) == {"load", "sqlite"}
    assert len(measured["sqlite"]["ms"]) == 6
    assert all(0 < took["fastest"] <= took["median"] for took in measured["sqlite"]["ms"].values())


def test_the_page_marks_what_is_over_its_budget_and_says_what_was_not_measured(tmp_path: Path) -> None:
    page = review_queue.write(FIGURES, tmp_path)

    assert "| first page | **22** (202, 135) |  |" in page
    assert "**200** (900, 300): **over the budget**" in page
    assert "PostgreSQL (it was not measured)" in page
