"""Each input exactly once, whatever happens: failures, Ctrl-C, new bundles, damaged folders."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from pipelines.folders import LOCK, MANIFEST, SUPERSEDED, locked
from pipelines.inbox import Desk, run_inbox
from pipelines.outcome import Outcome
from pipelines.run_case import Stage
from tests.builders import a_case, a_refused_input
from tests.fakes import FakeEngine, InMemoryQueue, RecordingWriter, fake_tools
from tests.verdicts import BUNDLE
from triage.case import Case, Inventory, Series, Volume
from triage.errors import Code, Refusal, TriageError
from triage.verdict import BundleId, Route

CANARY = "CANARY^PATIENT"
CASES = (a_case("case-a"), a_case("case-b"))
INVENTORY = Inventory(cases=CASES, refused=(a_refused_input("case-r"),), skipped={})
NEW_BUNDLE = BundleId(name="brain-triage", version="2", digest="2" * 64)


class MemoryLog(list[dict[str, object]]):
    """Keeps every event."""

    def __call__(self, _logger: object, _method: str, event: dict[str, object]) -> str:
        self.append(event)
        return ""


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def desk(tmp_path: Path, log: MemoryLog) -> Desk:
    out = tmp_path / "out"
    out.mkdir()
    return Desk(tools=fake_tools(), out=out, log=structlog.wrap_logger(structlog.ReturnLogger(), processors=[log]))


def only(*cases: Case) -> Inventory:
    return Inventory(cases=cases, refused=(), skipped={})


def decide(desk: Desk, inventory: Inventory = INVENTORY) -> list[Outcome]:
    return list(run_inbox(inventory, desk))


def with_tools(desk: Desk, **changes: object) -> Desk:
    return replace(desk, tools=replace(desk.tools, **changes))  # type: ignore[arg-type]


def raising(error: BaseException) -> Callable[[Series], Volume]:
    def read(_: Series) -> Volume:
        raise error

    return read


def folders(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir() if path.name != LOCK)


def engine(desk: Desk) -> FakeEngine:
    assert isinstance(desk.tools.engine, FakeEngine)
    return desk.tools.engine


def waiting(desk: Desk) -> list[str]:
    assert isinstance(desk.tools.queue, InMemoryQueue)
    return sorted(item.pseudonym for item in desk.tools.queue.open_items())


# Every input ends once


def test_every_input_gets_one_outcome_and_one_folder(desk: Desk) -> None:
    outcomes = decide(desk)

    assert {o.pseudonym: o.route for o in outcomes} == {
        "case-a": Route.ACCEPTED,
        "case-b": Route.ACCEPTED,
        "case-r": Route.REFUSED,
    }
    assert folders(desk.out) == ["case-a", "case-b", "case-r"]


def test_a_second_run_decides_nothing_anew_and_reports_the_same(desk: Desk) -> None:
    first = decide(desk)
    second = decide(desk)

    assert len(engine(desk).seeds) == len(CASES)
    assert [o.as_json() for o in second] == [o.as_json() for o in first]
    assert [o.kept for o in second] == [True] * 3


def test_a_case_that_arrives_later_is_the_only_one_decided(desk: Desk) -> None:
    decide(desk, only(CASES[0]))
    outcomes = decide(desk, only(*CASES))

    assert [o.kept for o in outcomes] == [True, False]


def test_the_manifest_seals_every_file_with_its_digest(desk: Desk) -> None:
    decide(desk)
    manifest = json.loads((desk.out / "case-a" / MANIFEST).read_text())

    assert (manifest["pseudonym"], manifest["bundle_digest"]) == ("case-a", BUNDLE.digest)
    assert set(manifest["files"]) == {"record.json"}


def test_the_stages_of_each_case_are_told_and_timed(desk: Desk) -> None:
    told: list[tuple[str, Stage]] = []
    outcomes = decide(replace(desk, enter=lambda name, stage: told.append((name, stage))), only(CASES[0]))

    assert told == [("case-a", stage) for stage in Stage]
    assert set(outcomes[0].seconds) == set(Stage)


def test_a_copy_of_an_input_is_decided_once(desk: Desk) -> None:
    assert [o.pseudonym for o in decide(desk, only(CASES[0], CASES[0]))] == ["case-a"]


def test_two_inputs_of_one_pseudonym_never_hide_each_other(desk: Desk) -> None:
    with pytest.raises(ValueError, match="one would hide the other"):
        decide(desk, only(CASES[0], replace(CASES[0], content_sha256="b" * 64)))


# What fails goes to a human


def test_a_refusal_while_reading_becomes_a_refused_case_with_its_code(desk: Desk) -> None:
    refusal = Refusal(Code.DECODE_FAIL, "Frame 3 cannot be decoded.", do="Send it again.")
    (outcome,) = decide(with_tools(desk, read=raising(refusal)), only(CASES[0]))

    assert (outcome.route, outcome.code) == (Route.REFUSED, Code.DECODE_FAIL)
    assert waiting(desk) == ["case-a"]


@pytest.mark.parametrize("error", [RuntimeError(CANARY), MemoryError(), RecursionError(CANARY), KeyError(CANARY)])
@pytest.mark.parametrize("part", ["read", "engine", "writers"])
def test_any_failure_becomes_a_refused_case_and_the_others_go_on(
    desk: Desk, log: MemoryLog, error: Exception, part: str
) -> None:
    broken = {
        "read": raising(error),
        "engine": FakeEngine(raises=error),
        "writers": {"record": RecordingWriter(), "broken": RecordingWriter(raises=error)},
    }
    outcomes = decide(with_tools(desk, **{part: broken[part]}))

    assert [o.code for o in outcomes if o.pseudonym != "case-r"] == [Code.INTERNAL, Code.INTERNAL]
    assert waiting(desk) == ["case-a", "case-b", "case-r"]
    assert folders(desk.out) == ["case-a", "case-b", "case-r"]
    assert CANARY not in repr(log) + repr(outcomes)


def test_the_log_names_the_kind_of_a_failure_and_the_lines_it_came_through(desk: Desk, log: MemoryLog) -> None:
    decide(with_tools(desk, engine=FakeEngine(raises=RuntimeError(CANARY))), only(CASES[0]))
    (failed,) = [event for event in log if event["event"] == "failed"]

    assert failed["error"] == "RuntimeError"
    assert "run_case.py:" in str(failed["where"])
    assert "fakes.py:" in str(failed["where"])


def test_a_failure_of_ours_is_tried_again_and_leaves_one_folder(desk: Desk) -> None:
    broken = with_tools(desk, engine=FakeEngine(raises=MemoryError()))
    decide(broken, only(CASES[0]))
    decide(broken, only(CASES[0]))
    (outcome,) = decide(desk, only(CASES[0]))

    assert outcome.route is Route.ACCEPTED
    assert folders(desk.out) == ["case-a"]
    assert waiting(desk) == []


def test_a_doubt_that_is_not_a_number_goes_to_a_human(desk: Desk) -> None:
    (outcome,) = decide(with_tools(desk, engine=FakeEngine(doubt=float("nan"))), only(CASES[0]))
    (kept,) = decide(with_tools(desk, engine=FakeEngine(doubt=float("nan"))), only(CASES[0]))

    assert outcome.route is Route.HUMAN_REVIEW
    assert str(kept.score) == "nan"


def test_a_queue_that_cannot_be_written_stops_the_run_and_shows_no_folder(desk: Desk) -> None:
    class BrokenQueue(InMemoryQueue):
        def settle(self, report: object, *, blind: bool = False) -> None:
            raise TriageError("The review database cannot be used.", do="Check it.")

    with pytest.raises(TriageError, match="review database"):
        decide(with_tools(desk, queue=BrokenQueue()))
    assert folders(desk.out) == []


# Old decisions


def test_a_new_bundle_decides_again_and_moves_the_old_folder_aside(desk: Desk) -> None:
    decide(desk, only(CASES[0]))
    (outcome,) = decide(with_tools(desk, engine=FakeEngine(bundle=NEW_BUNDLE)), only(CASES[0]))
    old = desk.out / SUPERSEDED / f"case-a-{BUNDLE.digest[:8]}-{CASES[0].content_sha256[:8]}"

    assert not outcome.kept
    assert (old / "record.json").is_file()
    assert json.loads((desk.out / "case-a" / MANIFEST).read_text())["bundle_digest"] == NEW_BUNDLE.digest


def test_new_content_of_a_study_decides_again_and_back_and_forth_loses_nothing(desk: Desk) -> None:
    late_slice = replace(CASES[0], content_sha256="b" * 64)
    for case in (CASES[0], late_slice, CASES[0], late_slice):
        decide(desk, only(case))

    assert len(folders(desk.out / SUPERSEDED)) == 3
    assert json.loads((desk.out / "case-a" / MANIFEST).read_text())["content_sha256"] == "b" * 64


@pytest.mark.parametrize("damage", ["lost", "edited"])
def test_a_damaged_folder_is_made_anew_and_what_was_there_is_kept_aside(desk: Desk, damage: str) -> None:
    decide(desk, only(CASES[0]))
    file = desk.out / "case-a" / "record.json"
    file.unlink() if damage == "lost" else file.write_text("a reviewer's note")
    (outcome,) = decide(desk, only(CASES[0]))

    assert not outcome.kept
    assert "accepted" in file.read_text()
    assert len(folders(desk.out / SUPERSEDED)) == 1


def test_a_format_that_is_asked_for_later_is_written(desk: Desk) -> None:
    decide(desk, only(CASES[0]))
    more = with_tools(desk, writers={**desk.tools.writers, "more": RecordingWriter("more.json")})
    decide(more, only(CASES[0]))

    assert (desk.out / "case-a" / "more.json").is_file()
    assert folders(desk.out) == ["case-a"]
    assert decide(desk, only(CASES[0]))[0].kept


def test_what_a_reviewer_laid_into_a_folder_is_kept(desk: Desk) -> None:
    decide(desk, only(CASES[0]))
    (desk.out / "case-a" / "note.txt").write_text("I see a cyst.")
    assert decide(desk, only(CASES[0]))[0].kept

    decide(with_tools(desk, writers={**desk.tools.writers, "more": RecordingWriter("more.json")}), only(CASES[0]))
    (note,) = desk.out.rglob("note.txt")
    assert note.read_text() == "I see a cyst."


def test_a_refused_input_is_settled_when_a_format_fails_and_the_format_is_tried_again(desk: Desk) -> None:
    refused = Inventory(cases=(), refused=INVENTORY.refused, skipped={})
    broken = {**desk.tools.writers, "more": RecordingWriter("more.json", raises=OSError(CANARY))}
    decide(with_tools(desk, writers=broken), refused)
    assert waiting(desk) == ["case-r"]

    whole = {**desk.tools.writers, "more": RecordingWriter("more.json")}
    assert [o.kept for o in decide(with_tools(desk, writers=whole), refused)] == [False]
    assert (desk.out / "case-r" / "more.json").is_file()
    assert folders(desk.out) == ["case-r"]


def test_a_folder_without_a_decision_in_the_queue_does_not_count(desk: Desk) -> None:
    decide(desk, only(CASES[0]))
    (outcome,) = decide(with_tools(desk, queue=InMemoryQueue()), only(CASES[0]))

    assert not outcome.kept


# One run a folder, and no half-written ones


def test_two_runs_cannot_write_to_one_folder(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(TriageError, match="Another run"), locked(tmp_path):
        pass


def test_what_a_dead_run_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".partial-case-a-123").mkdir()
    (tmp_path / ".partial-case-a-123" / "half.nii.gz").write_bytes(b"1")
    (tmp_path / ".partial-index.html").write_text("<html>")
    with locked(tmp_path):
        pass

    assert folders(tmp_path) == []


def test_a_folder_is_not_seen_before_it_is_whole(desk: Desk) -> None:
    seen: list[list[str]] = []

    def look(_: str, stage: Stage) -> None:
        seen.append([name for name in folders(desk.out) if not name.startswith(".")])

    decide(replace(desk, enter=look), only(CASES[0]))

    assert seen == [[]] * len(Stage)


def test_every_file_reaches_the_disk_before_its_folder_is_seen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(Path(f"/proc/self/fd/{handle}").readlink().name))
    decide(desk, only(CASES[0]))

    partial = next(name for name in flushed if name.startswith(".partial-case-a"))
    assert flushed == ["record.json", MANIFEST, partial, "out"]


def test_a_pseudonym_that_is_no_name_of_a_folder_is_never_one(desk: Desk) -> None:
    for pseudonym in ("../evil", "", ".hidden", "a/b", "x" * 65, "a\n"):
        with pytest.raises(ValueError, match="pseudonym"):
            decide(desk, only(replace(CASES[0], pseudonym=pseudonym)))
    assert folders(desk.out) == []


def test_ctrl_c_leaves_what_is_decided_and_nothing_half_done(desk: Desk) -> None:
    def interrupt(pseudonym: str, stage: Stage) -> None:
        if (pseudonym, stage) == ("case-b", Stage.WRITE):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decide(replace(desk, enter=interrupt))
    assert folders(desk.out) == ["case-a", "case-r"]

    assert [o.kept for o in decide(desk)] == [True, True, False]
