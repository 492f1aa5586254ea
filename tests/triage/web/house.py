"""The review pages with cases, accounts and visitors, in one process."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from tests.builders import a_case, a_prediction, a_volume
from tests.phantoms import phantom_labels
from tests.triage.review.desks import PASSWORD, Room
from tests.verdicts import a_flagged_verdict, an_accepted_report
from triage.report import WRITERS
from triage.verdict import Report
from triage.web.app import create_app
from triage.web.entrance import Site
from triage.web.sessions import Seal
from triage.web.usual import UsualVolumes

SMALL = (40, 48, 40)
_TOKEN = re.compile(r'name="token" value="([^"]+)"')


@cache
def a_small_report() -> Report:
    """A flagged phantom head of a few thousand voxels, with its maps."""
    labels = phantom_labels(SMALL)
    volume = a_volume(labels, shape=(48, 40, 34))
    return an_accepted_report(a_case(), a_prediction(labels, volume), volume=volume, verdict=a_flagged_verdict())


@dataclass
class House:
    """A site over a room. complaints: what went wrong on its side."""

    room: Room
    out: Path
    complaints: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.site = Site(
            desk=self.room.desk,
            accounts=self.room.accounts,
            out=self.out,
            seal=Seal(b"k" * 32),
            secure=False,
            usual=UsualVolumes(self.out),
            complain=self.complaints.append,
        )
        self.app: FastAPI = create_app(self.site)

    def arrives(self, pseudonym: str, *, writers: Sequence[str] = ("json", "nifti"), **changes: Any) -> str:
        """A case is decided: its files lie in the output folder and it waits. changes: of the report."""
        report = replace(a_small_report(), **{"case": a_case(pseudonym), **changes})
        folder = self.out / pseudonym
        folder.mkdir(parents=True)
        for name in writers:
            WRITERS[name](report, folder)
        self.room.queue.settle(report)
        return pseudonym

    def visitor(self, name: str = "") -> "Visitor":
        """A browser; signed in when it has the name of an account."""
        visitor = Visitor(TestClient(self.app, raise_server_exceptions=False))
        if name:
            answer = visitor.send("/sign-in", {"name": name, "password": PASSWORD}, seen_on="/sign-in")
            assert answer.status_code == 200, answer.text
        return visitor


@dataclass
class Visitor:
    """Somebody at a browser, who fills in the forms that a page holds."""

    client: TestClient

    def see(self, path: str) -> Response:
        return self.client.get(path)

    def send(self, path: str, fields: Mapping[str, Any], *, seen_on: str, files: Any = None) -> Response:
        """Send a form as the page that holds it would."""
        token = _TOKEN.search(self.see(seen_on).text)
        assert token is not None
        return self.client.post(path, data={"token": token[1], **fields}, files=files)
