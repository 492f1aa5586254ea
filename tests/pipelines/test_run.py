"""A run from its settings to its pages, with a fake engine and the real writers, queue, log and table."""

import csv
import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import pipelines.run
from pipelines.logs import open_log
from pipelines.outcome import RunResult
from pipelines.run import chosen_writers
from pipelines.run_case import Stage, Tools
from pipelines.settings import Settings, Tracking
from tests.builders import a_case, a_refused_input
from tests.fakes import FakeEngine, FakeWatch, fake_tools
from triage.case import Inventory, Series, Volume
from triage.errors import TriageError
from triage.ports import Queue
from triage.report import WRITERS
from triage.verdict import Route

INVENTORY = Inventory(
    cases=(a_case("case-a"), a_case("case-b")), refused=(a_refused_input("case-r"),), skipped={"not MR": 3}
)
FAST = {name: WRITERS[name] for name in ("json", "figures")}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "inbox").mkdir()
    return Settings(out=tmp_path / "out", tracking=Tracking(on=False))


def run(
    settings: Settings, watch: FakeWatch | None = None, inventory: Inventory = INVENTORY, **tools: object
) -> RunResult:
    def gather(_: Settings, queue: Queue) -> Tools:
        return fake_tools(queue, **{"writers": FAST, **tools})

    inbox = settings.out.parent / "inbox"
    return pipelines.run.run(inbox, settings, watch or FakeWatch(), gather=gather, find=lambda *_: inventory)


def rows(settings: Settings) -> list[dict[str, str]]:
    with (settings.out / "cases.csv").open() as file:
        return list(csv.DictReader(file))


def log_of(settings: Settings) -> list[dict[str, object]]:
    return [json.loads(line) for line in settings.log.read_text().splitlines()]


def test_a_run_leaves_a_page_a_table_and_a_folder_a_case(settings: Settings) -> None:
    result = run(settings)

    assert result.counts == {"accepted": 2, "human_review": 0, "refused": 1}
    assert sorted(p.name for p in settings.out.iterdir() if not p.name.startswith(".")) == [
        "case-a",
        "case-b",
        "case-r",
        "cases.csv",
        "index.html",
    ]
    assert all(name in (settings.out / "index.html").read_text() for name in ("case-a", "case-b", "case-r"))
    assert sorted(row["case"] for row in rows(settings)) == ["case-a", "case-b", "case-r"]


@pytest.mark.parametrize(
    ("doubt", "inventory", "status"),
    [
        (0.2, replace(INVENTORY, refused=()), 0),
        (9.0, replace(INVENTORY, refused=()), 0),
        (0.2, INVENTORY, 2),
    ],
)
def test_the_exit_status_is_0_when_all_are_decided_and_2_when_some_are_refused(
    settings: Settings, doubt: float, inventory: Inventory, status: int
) -> None:
    assert run(settings, inventory=inventory, engine=FakeEngine(doubt=doubt)).exit_status == status


def test_a_second_run_gives_the_same_status_and_the_same_pages(settings: Settings) -> None:
    first, before = run(settings), rows(settings)
    second = run(settings)

    assert (second.exit_status, second.counts, second.decided_now) == (first.exit_status, first.counts, 0)
    assert rows(settings) == before


def test_ctrl_c_keeps_what_is_decided_shows_it_and_the_next_run_continues(settings: Settings) -> None:
    def interrupt(pseudonym: str, stage: Stage) -> None:
        if (pseudonym, stage) == ("case-b", Stage.PREDICT):
            raise KeyboardInterrupt

    cut = run(settings, FakeWatch(on_enter=interrupt))
    assert (cut.cut_short, cut.exit_status) == (True, 1)
    assert sorted(row["case"] for row in rows(settings)) == ["case-a", "case-r"]

    rest = run(settings)
    assert [outcome.pseudonym for outcome in rest.outcomes if not outcome.kept] == ["case-b"]


def test_the_watcher_is_told_how_many_there_are_and_what_came_of_each(settings: Settings) -> None:
    watch = FakeWatch()
    run(settings, watch)

    assert (watch.total, watch.routes) == (3, [Route.REFUSED, Route.ACCEPTED, Route.ACCEPTED])


def test_an_inbox_without_a_case_is_an_error(settings: Settings) -> None:
    with pytest.raises(TriageError, match=r"no case.*not MR: 3"):
        run(settings, inventory=Inventory(cases=(), refused=(), skipped={"not MR": 3}))


def test_an_inbox_that_is_not_there_is_an_error_before_anything_is_made(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(TriageError, match="does not exist"):
        pipelines.run.run(tmp_path / "typo", settings, FakeWatch())
    assert [path.name for path in tmp_path.iterdir()] == ["inbox"]


@pytest.mark.parametrize("place", ["out", "state"])
def test_results_may_not_lie_in_the_inbox(settings: Settings, place: str) -> None:
    inside = settings.model_copy(update={place: settings.out.parent / "inbox" / "deep"})

    with pytest.raises(TriageError, match="lies in the inbox"):
        pipelines.run.run(settings.out.parent / "inbox", inside, FakeWatch())


def test_the_log_has_one_line_an_event_and_ends_with_the_head_of_the_audit(settings: Settings) -> None:
    run(settings)
    events = log_of(settings)

    assert [event["event"] for event in events] == ["run_started", *["decided"] * 3, "run_ended"]
    assert len(str(events[-1]["audit_head"])) == 64


def test_a_run_that_fails_says_so_in_the_log(settings: Settings) -> None:
    with pytest.raises(TriageError):
        run(settings, inventory=Inventory(cases=(), refused=(), skipped={}))

    assert [(event["event"], event.get("error")) for event in log_of(settings)][-1] == ("run_failed", "TriageError")


def test_a_control_or_bidirectional_character_is_an_escape_in_the_log(tmp_path: Path) -> None:
    with open_log(tmp_path / "log.jsonl") as log:
        log.info("read", text="a\nb\x1b[31m\u202ec\x7f\x85")
    (line,) = (tmp_path / "log.jsonl").read_bytes().splitlines()

    assert json.loads(line)["text"] == r"a\nb\x1b[31m\u202ec\x7f\x85"
    assert all(0x20 <= byte < 0x7F for byte in line)


def test_what_libraries_say_of_values_is_heard_by_nobody(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    def read(_: Series) -> Volume:
        logging.getLogger("pydicom").error("CANARY")
        warnings.warn("CANARY", stacklevel=1)
        raise ValueError("CANARY")

    run(settings, read=read)

    assert "CANARY" not in "".join(capfd.readouterr())
    assert "CANARY" not in settings.log.read_text()
    assert logging.root.manager.disable == logging.NOTSET


def test_a_disk_that_is_full_stops_the_run_with_what_to_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.folders.flush", full)

    with pytest.raises(TriageError, match=r"No space left on device.*run again"):
        run(settings)


def test_an_unknown_format_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(TriageError, match=r"no output format pdf.*json"):
        chosen_writers(WRITERS, ["pdf"])


@pytest.mark.parametrize(("names", "chosen"), [(None, set(WRITERS)), (["nifti"], {"json", "nifti"}), ([], {"json"})])
def test_the_machine_readable_report_is_always_written(names: list[str] | None, chosen: set[str]) -> None:
    assert set(chosen_writers(WRITERS, names)) == chosen


def test_the_page_of_a_run_is_tracked_unless_it_should_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[tuple[str, RunResult | None, tuple[Path, ...]]] = []

    class RecordingRun:
        warning = "MLflow did not take this run."

        def __init__(self, store: object) -> None: ...

        def start(self, **_: object) -> None: ...

        def finish(self, status: str, result: RunResult | None = None, files: tuple[Path, ...] = ()) -> None:
            finished.append((status, result, files))

    monkeypatch.setattr(pipelines.run, "TrackedRun", RecordingRun)
    with_page = run(settings.model_copy(update={"tracking": Tracking()}))
    run(settings.model_copy(update={"tracking": Tracking(report=False)}))
    with pytest.raises(TriageError):
        run(settings.model_copy(update={"tracking": Tracking()}), inventory=Inventory(cases=(), refused=(), skipped={}))

    assert [(status, len(files)) for status, _, files in finished] == [("FINISHED", 1), ("FINISHED", 0), ("FAILED", 0)]
    assert with_page.warnings == ("MLflow did not take this run.",)
    assert with_page.exit_status == 2
