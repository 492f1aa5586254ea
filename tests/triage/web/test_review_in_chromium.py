"""The review pages as a reviewer meets them, in a real browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from tests.builders import a_written_case
from tests.triage.review.desks import PASSWORD
from tests.triage.web.house import House, a_small_report
from tests.triage.web.readers import SLOW_MS, served
from tests.verdicts import a_flagged_verdict
from triage.anatomy import LESION
from triage.report.as_dicom_seg import SEG
from triage.report.as_nifti import SEGMENTATION
from triage.web.label_volume import check_correction
from triage.web.sessions import COOKIE, new_session

OUTDATED = {"message": "This case was decided or renewed meanwhile.", "do": "Open it again from the queue."}
NO_WEBGL = "HTMLCanvasElement.prototype.getContext = () => null"
WITH_PICTURES = ("json", "nifti", "figures")
DESK, TABLET, DESK_AT_TWICE_THE_SIZE, PHONE = 1440, 820, 720, 320
"""Widths in pixels; the last is also a screen of 1280 at four times the size, as WCAG 1.4.10 has it."""
CONTROLS = {"button", "checkbox", "combobox", "link", "radio", "searchbox", "slider", "textbox"}
WITHOUT_OUTLINE = r"""() => [...document.querySelectorAll("a, button, input, select, textarea, summary, [tabindex]")]
  .filter((e) => e.type !== "hidden" && !e.disabled && e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => { e.focus(); return !/^solid [2-9]px/.test(getComputedStyle(e).outline.replace(/^rgb.*\) /, "")); })
  .map((e) => e.outerHTML)"""
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def address(house: House) -> Iterator[str]:
    """The pages of the house, served."""
    with served(house.app) as address:
        yield address


@contextmanager
def at_a_browser(browser: Browser, address: str, *, webgl: bool = False) -> Iterator[Page]:
    """A page of a browser of its own. Whatever it complains of, or asks of another machine, fails the test."""
    context = browser.new_context(viewport={"width": 800, "height": 600})
    context.set_default_timeout(SLOW_MS)
    if not webgl:
        context.add_init_script(NO_WEBGL)
    page = context.new_page()
    complaints: list[Any] = []
    page.on("pageerror", lambda error: complaints.append(error.message))
    page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else complaints.append(asked.url))
    yield page
    assert complaints == []
    context.close()


def arrive(page: Page, selector: str) -> Any:
    """Wait for what a page holds, and for the scripts that make its keys work."""
    element = page.wait_for_selector(selector)
    page.wait_for_load_state("load")
    return element


def let_in(page: Page, house: House, address: str, name: str) -> None:
    """Sign in by the cookie that the sign-in gives."""
    person = house.room.accounts.person(house.room.people[name])
    assert person is not None
    cookie = house.site.seal.cookie(new_session(person.id, person.session_epoch))
    page.context.add_cookies([{"name": COOKIE, "value": cookie, "url": address}])


def nameless(page: Page) -> list[Any]:
    """The controls for which a screen reader has no name."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in CONTROLS]
    assert len(controls) > 5
    return [node for node in controls if not node["name"]["value"].strip()]


def a_hostile_case(house: House, inbox: Path) -> str:
    """Its reasons are markup, and so is the name of its patient in the DICOM beside its report."""
    verdict = a_flagged_verdict(action=HOSTILE)
    reasons = tuple(replace(reason, text=HOSTILE, action=HOSTILE) for reason in verdict.reasons)
    verdict = replace(verdict, reasons=reasons, signals=tuple(replace(s, title=HOSTILE) for s in verdict.signals))
    volume = a_small_report().volume
    source = a_written_case(inbox, "bt-flagged2aa", volume=volume, tags={"PatientName": f"{HOSTILE}^Canary"})
    case = house.arrives("bt-flagged2aa", writers=("json", "nifti", "dicom_seg"), case=source, verdict=verdict)
    assert b"Canary" in (house.out / case / SEG).read_bytes()
    return case


def millimetres(where: str) -> np.ndarray:
    """A position as the page tells it, "R 12, A 3, S 10 mm", in RAS+."""
    signs = {"R": 1, "L": -1, "A": 1, "P": -1, "S": 1, "I": -1}
    return np.array([signs[side] * float(n) for side, n in re.findall(r"([RLAPSI]) (\d+)", where)[:3]])


def test_a_reviewer_signs_in_looks_paints_decides_and_the_case_leaves_the_queue(
    house: House, browser: Browser, address: str
) -> None:
    case = house.arrives("bt-flagged2aa")
    with at_a_browser(browser, address, webgl=True) as page:
        page.goto(address)
        page.fill("[name=name]", "rita")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        arrive(page, "#cases")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        arrive(page, "#claim")
        page.keyboard.press("c")
        page.wait_for_selector("#paint:enabled")
        shown = page.locator("canvas").screenshot()
        page.keyboard.press("Space")
        page.wait_for_timeout(500)
        without_overlays = page.locator("canvas").screenshot()
        page.keyboard.press("Space")
        page.keyboard.press("p")
        screen = page.locator("canvas").bounding_box()
        assert screen is not None
        page.mouse.move(screen["x"] + 0.17 * screen["width"], screen["y"] + 0.35 * screen["height"])
        page.mouse.down()
        page.mouse.move(screen["x"] + 0.2 * screen["width"], screen["y"] + 0.4 * screen["height"], steps=2)
        page.mouse.up()
        where = page.text_content("#whereabouts") or ""
        unnamed = nameless(page)
        page.route("**/corrections", lambda route: route.fulfill(status=409, json=OUTDATED), times=1)
        page.click("#keep")
        refused = arrive(page, "#paint-note:has(a)").text_content()
        with page.expect_download() as saved:
            page.click("#paint-note a")
        drawing = saved.value
        saved_bytes = drawing.path().read_bytes()
        page.click("#keep")
        page.wait_for_selector("#paint-note:has-text('Kept.')")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Your verdict on")
        waiting = page.locator("#cases").count()

    assert unnamed == []
    assert OUTDATED["message"] in (refused or "")
    own = {"name": drawing.suggested_filename, "folder": house.out / case, "pseudonym": case}
    assert check_correction(saved_bytes, **own).changed_voxels > 3
    assert waiting == 0
    assert shown != without_overlays
    (reading,) = house.room.desk.readings()
    assert (reading.verdict, reading.code, reading.by) == ("correct", "missed_lesion", "rita")
    assert reading.correction is not None
    original = nib.load(house.out / case / SEGMENTATION)
    kept = nib.load(house.room.folder / reading.correction.path)
    before, after = np.asarray(original.dataobj), np.asarray(kept.dataobj)
    assert np.allclose(kept.affine, original.affine)
    assert set(after[before != after]) == {LESION}
    assert 3 < np.count_nonzero(before != after) < 2000
    assert "Lesion" in where
    painted_mm = nib.affines.apply_affine(original.affine, np.argwhere(before != after))
    assert np.linalg.norm(painted_mm - millimetres(where), axis=1).min() < 1.5


def test_of_two_browsers_that_race_one_gets_the_case_and_whatever_is_hostile_in_it_is_text_or_not_there(
    house: House, browser: Browser, address: str, tmp_path: Path
) -> None:
    case = a_hostile_case(house, tmp_path / "inbox")
    note = f"{HOSTILE}</textarea><script>alert(2)</script>\u202eexe"
    upload = {"name": f"{HOSTILE}.nii", "mimeType": "application/octet-stream", "buffer": b"no volume"}
    with at_a_browser(browser, address) as rita, at_a_browser(browser, address) as ruth:
        for page, name in ((rita, "rita"), (ruth, "ruth")):
            let_in(page, house, address, name)
            page.goto(f"{address}/cases/{case}")
        for page in (rita, ruth):
            page.evaluate("() => { setTimeout(() => document.querySelector('#claim').click(), 50) }")
        outcome = {}
        for page in (rita, ruth):
            element = arrive(page, "#opinion, h1:has-text('has this case in hand')")
            outcome[element.evaluate("element => element.tagName")] = page
        winner, loser = outcome["FORM"], outcome["H1"]
        winner.click("summary:has-text('Upload a corrected volume')")
        winner.set_input_files("[name=file]", upload)  # type: ignore[arg-type]
        winner.get_by_role("button", name="Upload", exact=True).click()
        seen = [arrive(winner, "h1:has-text('no NIfTI volume')") and winner.content()]
        winner.goto(f"{address}/cases/{case}")
        arrive(winner, "#opinion")
        winner.keyboard.press("3")
        winner.keyboard.press("ArrowDown")
        winner.fill("#note", note)
        winner.click("#give")
        winner.wait_for_selector("text=Your verdict on")
        loser.goto(f"{address}/cases/{case}")
        read = loser.text_content(".note")
        seen += [loser.content(), loser.text_content(".action") or ""]

    assert HOSTILE in seen[2]
    assert not any("Canary" in text for text in seen)
    assert not any("<img src=x" in text for text in seen[:2])
    assert read == note.replace("\u202e", "\\u202e")


def test_a_page_that_nobody_touches_lets_its_case_go_and_holds_it_again_when_somebody_comes_back(
    house: House, browser: Browser, address: str
) -> None:
    case = house.arrives("bt-flagged2aa")
    house.room.desk.claim(house.room.item(case), account=house.room.people["rita"])
    renewals: list[str] = []
    with at_a_browser(browser, address) as page:
        let_in(page, house, address, "rita")
        page.on("request", lambda asked: renewals.append(asked.url) if asked.url.endswith("/renew") else None)
        page.clock.install()
        page.goto(f"{address}/cases/{case}")
        arrive(page, "#opinion")
        page.clock.run_for("01:00:00")
        untouched = len(renewals)
        with page.expect_response("**/renew"):
            page.keyboard.press("Shift")
        page.clock.run_for("01:00:00")
        page.wait_for_function("() => document.querySelector('#lease:not(.alarm) time').textContent.endsWith(' UTC')")

    assert (untouched, len(renewals)) == (3, 3 + 1 + 3)


def test_without_webgl_slices_of_the_report_are_shown_and_all_is_usable_on_any_screen_and_by_keyboard(
    house: House, browser: Browser, address: str
) -> None:
    case = house.arrives("bt-flagged2aa", writers=WITH_PICTURES)
    house.room.desk.claim(house.room.item(case), account=house.room.people["olga"])
    with at_a_browser(browser, address) as page:
        let_in(page, house, address, "olga")
        too_wide, unnamed, unseen = [], [], []
        for path in ("/", "/accounts", f"/cases/{case}"):
            page.goto(f"{address}{path}")
            unnamed += nameless(page)
            page.keyboard.press("Tab")  # so that the browser takes what follows for work by keyboard
            unseen += page.evaluate(WITHOUT_OUTLINE)
            for width in (DESK, TABLET, DESK_AT_TWICE_THE_SIZE, PHONE):
                page.set_viewport_size({"width": width, "height": 1000})
                if page.evaluate("document.documentElement.scrollWidth") > width:
                    too_wide.append((path, width))
        page.wait_for_selector("#viewer[data-state=figures]")
        note = page.text_content("#viewer-note") or ""
        decoded = "Promise.all([...document.querySelectorAll('.figures img')].map(i => i.decode().then(() => i.width)))"
        pictures = page.evaluate(decoded)

    assert (too_wide, unnamed, unseen) == ([], [], [])
    assert "no WebGL2" in note
    assert len(pictures) == 15
    assert min(pictures) > PHONE / 4


def test_the_keys_are_shown_and_dark_is_changed_for_light(house: House, browser: Browser, address: str) -> None:
    with at_a_browser(browser, address) as page:
        let_in(page, house, address, "rita")
        page.goto(address)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.keyboard.press("?")
        keys = page.text_content("#keys[open]") or ""
        page.keyboard.press("Escape")
        page.click("#theme")
        page.reload()
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert "search by pseudonym" in keys
    assert sum(map(int, re.findall(r"\d+", dark))) < 100 < 600 < sum(map(int, re.findall(r"\d+", light)))
