"""The page as a browser shows it: hostile text stays text, nothing is asked of any machine, everything fits."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page

from tests.builders import a_case, a_refused_input
from tests.triage.report.run_folders import a_run, fill
from tests.verdicts import a_flagged_report, a_flagged_verdict, a_place, a_refused_report, an_accepted_report
from triage.report.as_html import INDEX, write_index

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(2)>',
    "</script><script>alert(3)</script>",
    "{{7*7}}${7*7}",
    "\u202etxet desrever\u2066",
    "\x1b[31mred\x1b]8;;http://evil.example\x07",
    "javascript:alert(4)",
    "</style><link rel=stylesheet href=http://evil.example/x.css>",
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every free text is hostile."""
    out = tmp_path_factory.mktemp("out")
    text = " ".join(HOSTILE)
    verdict = a_flagged_verdict(action=text, place=replace(a_place(), structure=text))
    reasons = tuple(replace(r, text=text, action=text, signal=text) for r in verdict.reasons)
    signals = tuple(replace(s, title=text) for s in verdict.signals)
    failed = a_flagged_verdict(score=math.nan, place=None)
    fill(
        out,
        [
            a_flagged_report(a_case("case-0001"), verdict=replace(verdict, reasons=reasons, signals=signals)),
            a_flagged_report(a_case("case-0002"), verdict=failed),
            an_accepted_report(a_case("case-0003")),
            a_refused_report(a_refused_input("case-0004", message=text, do=text)),
        ],
        figures=True,
    )
    run = a_run(out, promise=text, skipped={text: 3}, settings={text: text})
    write_index(run, out / INDEX)
    return out / INDEX


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def test_hostile_text_raises_no_dialog_no_request_and_no_element_of_its_own(page: Page, index: Path) -> None:
    dialogs, requests, complaints = [], [], []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))

    page.goto(index.as_uri())
    page.wait_for_load_state("load")

    assert dialogs == []
    assert [url for url in requests if not url.startswith("data:")] == [unquote(index.as_uri())]
    assert complaints == []
    assert page.locator("script, iframe, object, embed, form, [onerror], [onload]").count() == 0
    assert page.evaluate("[...document.images].every(i => i.src.startsWith('data:image/png'))")


def test_hostile_text_is_read_as_it_was_written(page: Page, index: Path) -> None:
    page.goto(index.as_uri())

    shown = page.locator("body").inner_text()

    for text in ("<img src=x onerror=alert(1)>", "{{7*7}}${7*7}", "\\u202etxet", "\\x1b[31mred"):
        assert text in shown
    assert not {"\u202e", "\u2066", "\x1b"} & set(shown)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 820, 390])
def test_nothing_runs_over_the_side_of_the_screen(browser: Browser, index: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 1000}, color_scheme=scheme)

    page.goto(index.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_pictures_of_the_flagged_cases_are_decoded_and_black_around(page: Page, index: Path) -> None:
    page.goto(index.as_uri())

    figures = page.locator("figure.panel")

    assert figures.count() == 18
    assert page.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor") == "rgb(0, 0, 0)"
    assert all(box["width"] > 100 for box in (figures.nth(n).bounding_box() for n in range(9)) if box)


def test_crosshair_and_overlays_can_be_put_out_without_a_script(page: Page, index: Path) -> None:
    page.goto(index.as_uri())

    page.uncheck("#show-crosshair")
    page.uncheck("#show-overlays")

    assert not page.locator(".crosshair").first.is_visible()
    assert not page.locator(".overlay").first.is_visible()


def test_a_picture_is_enlarged_and_closed_by_keyboard(page: Page, index: Path) -> None:
    page.goto(index.as_uri())
    panel = page.locator("#case-2-axial-entropy")

    panel.locator("a").first.press("Enter")
    enlarged = panel.bounding_box()
    panel.locator(".close").press("Enter")
    closed = panel.bounding_box()

    assert enlarged is not None
    assert closed is not None
    assert enlarged["width"] > 2 * closed["width"]


def test_the_table_of_contents_leads_to_each_flagged_case(page: Page, index: Path) -> None:
    page.goto(index.as_uri())

    page.click("nav a:has-text('case-0001')")

    assert page.evaluate("document.querySelector(':target h3').innerText").endswith("case-0001")
