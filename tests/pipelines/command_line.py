"""`brain-triage` as its tests call it."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import pipelines.run
from pipelines.cli import main
from pipelines.run_case import Tools
from pipelines.settings import Settings
from tests.builders import a_case, a_refused_input
from tests.fakes import FakeEngine, fake_tools
from triage.case import Inventory
from triage.ports import Queue
from triage.report import WRITERS

ACCEPTED = Inventory(cases=(a_case("case-a"),), refused=(), skipped={})
MIXED = Inventory(cases=(a_case("case-a"), a_case("case-b")), refused=(a_refused_input("case-r"),), skipped={"CT": 2})

Command = Callable[..., int]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """`brain-triage` in a folder of its own, with an engine that decides in milliseconds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox").mkdir()
    original = pipelines.run.run

    def call(*arguments: str, inventory: Inventory = ACCEPTED, doubt: float = 0.2) -> int:
        def gather(_: Settings, queue: Queue) -> Tools:
            return fake_tools(queue, engine=FakeEngine(doubt=doubt), writers={"json": WRITERS["json"]})

        fake = partial(original, gather=gather, find=lambda *_: inventory)
        monkeypatch.setattr(pipelines.run, "run", fake)
        if arguments[0] == "run":
            arguments = (*arguments, "--no-tracking")
        return main(arguments)

    handler = signal.getsignal(signal.SIGTERM)
    yield call
    signal.signal(signal.SIGTERM, handler)
