"""The page of the first slice: a case is opened in a real browser, and what is over the budget says so."""

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from pipelines.bench import first_slice
from pipelines.bench.page import Inputs
from tests.chromium import CHROMIUM, FLAGS
from tests.databases import Sqlite, sqlite
from tests.triage.review.desks import Room
from tests.triage.web.house import House
from tests.triage.web.readers import served
from triage.review import connect
from triage.web.sessions import COOKIE, new_session

__all__ = ["sqlite"]
FIGURES = {
    "load": 1.5,
    "cpus": 2,
    "browser": "150.0",
    "shape": [256, 256, 180],
    "image_mb": 32.4,
    "ms": {
        "with WebGL 2": [
            {"picture": p, "viewer": v, "layers": 9000.0} for p, v in ((700.0, 2100.0), (500.0, 2001.0), (600.0, 900.0))
        ],
        "without": [{"picture": 400.0}],
    },
}


def test_a_case_is_opened_and_its_pictures_come_before_its_viewer_and_that_before_its_overlays(
    sqlite: Sqlite, tmp_path: Path
) -> None:
    if not CHROMIUM.exists():
        pytest.skip("no /usr/bin/chromium")
    room = Room(connect(sqlite.made()), tmp_path)
    house = House(room=room, out=tmp_path / "out")
    case = house.arrives("bt-flagged2aa", writers=("json", "nifti", "figures"))
    cookie = house.site.seal.cookie(new_session(room.people["olga"], 0))
    with served(house.app) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        context = browser.new_context()
        context.add_cookies([{"name": COOKIE, "value": cookie, "url": address}])
        known, page = context.storage_state(), f"{address}/cases/{case}"
        seen = first_slice.first_slice(browser, page, known, first_slice.LAYERS, first_slice.WATCH)
    room.engine.dispose()

    assert 0 < seen["picture"] < seen["viewer"] <= seen["layers"]


def test_the_page_says_the_median_and_the_slowest_and_marks_a_median_over_the_budget(tmp_path: Path) -> None:
    page = first_slice.write(FIGURES, tmp_path)

    assert "| first slice, from the report | **0.60** (0.70) |" in page
    assert "| first slices in the viewer | **2.00** (2.10): **over the budget** |" in page
    assert "| first slice, from the report, without WebGL 2 | **0.40** (0.40) |" in page


def test_without_a_browser_the_page_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    page = first_slice.write(first_slice.measure(Inputs(data=tmp_path, cache=tmp_path)), tmp_path)

    assert "it needs chromium" in page
