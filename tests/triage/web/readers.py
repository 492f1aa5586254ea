"""A reviewer who reads cases: in chromium, or where there is none by the forms that the pages hold."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Page, sync_playwright

from pipelines.review import Binding, server
from tests.chromium import CHROMIUM, FLAGS
from tests.triage.review.desks import PASSWORD
from tests.triage.web.house import Visitor
from triage.web.app import create_app
from triage.web.entrance import Site

SLOW_MS = 240_000
_ITEM = re.compile(r'name="item" value="(\d+)"')


class Reader(Protocol):
    """Signed in; takes a case and gives a verdict on it, with one of the verdict's codes."""

    def correct(self, pseudonym: str, nifti: bytes, code: str) -> None: ...

    def reject(self, pseudonym: str, code: str) -> None: ...


@contextmanager
def the_owner(site: Site) -> Iterator[Reader]:
    """The owner, who came in by the one-time link of the first start."""
    link, app = f"/link/{site.accounts.first_link()}", create_app(site)
    if not CHROMIUM.exists():
        visitor = Visitor(TestClient(app))
        visitor.send(link, {"password": PASSWORD, "again": PASSWORD}, seen_on=link)
        yield ByForms(visitor)
        return
    with served(app) as address, sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS).new_page(base_url=address)
        page.set_default_timeout(SLOW_MS)
        page.goto(link)
        page.fill("[name=password]", PASSWORD)
        page.fill("[name=again]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("#cases")
        yield InChromium(page)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The address of the pages, as long as they are served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = server(app, Binding())
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        while not running.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


@dataclass(frozen=True)
class InChromium:
    page: Page

    def correct(self, pseudonym: str, nifti: bytes, code: str) -> None:
        self._take(pseudonym)
        self.page.click("summary:has-text('Upload a corrected volume')")
        file = {"name": "corrected.nii", "mimeType": "application/octet-stream", "buffer": nifti}
        self.page.set_input_files("[name=file]", file)  # type: ignore[arg-type]
        self.page.get_by_role("button", name="Upload", exact=True).click()
        self.page.wait_for_selector("#kept:has-text('A correction is kept')")
        self._give("correct", code)

    def reject(self, pseudonym: str, code: str) -> None:
        self._take(pseudonym)
        self._give("reject", code)

    def _take(self, pseudonym: str) -> None:
        self.page.goto(f"/cases/{pseudonym}")
        self.page.click("#claim")
        self.page.wait_for_selector("#opinion")

    def _give(self, verdict: str, code: str) -> None:
        self.page.check(f"[name=verdict][value={verdict}]")
        self.page.check(f".codes.{verdict} [value={code}]")
        self.page.click("#give")
        self.page.wait_for_selector("text=Your verdict on")


@dataclass(frozen=True)
class ByForms:
    visitor: Visitor

    def correct(self, pseudonym: str, nifti: bytes, code: str) -> None:
        page, item = self._take(pseudonym)
        file = {"file": ("corrected.nii", nifti)}
        kept = self.visitor.send(f"{page}/corrections", {"item": item}, seen_on=page, files=file)
        sha256 = re.search(r"[0-9a-f]{64}", str(kept.url))
        assert sha256 is not None, kept.text
        self._give(page, item=item, verdict="correct", code=code, correction=sha256[0])

    def reject(self, pseudonym: str, code: str) -> None:
        page, item = self._take(pseudonym)
        self._give(page, item=item, verdict="reject", code=code)

    def _take(self, pseudonym: str) -> tuple[str, str]:
        page = f"/cases/{pseudonym}"
        item = _ITEM.search(self.visitor.see(page).text)
        assert item is not None
        assert self.visitor.send(f"{page}/claim", {"item": item[1]}, seen_on=page).status_code == 200
        return page, item[1]

    def _give(self, page: str, **fields: str) -> None:
        assert self.visitor.send(f"{page}/decide", fields, seen_on=page).status_code == 200
