"""The trail and the history on the command line."""

import json
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.pipelines.command_line import MIXED, Command
from tests.verdicts import BUNDLE
from triage.review import History, open_queue


@pytest.mark.parametrize("arguments", [("queue",), ("audit", "verify"), ("audit", "decided", "--bundle", "f" * 8)])
def test_without_a_queue_there_is_an_error_and_none_is_made(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert command(*arguments) == 1

    assert "no review queue" in capsys.readouterr().err
    assert not (tmp_path / "brain-triage-state").exists()


def test_which_model_was_live_on_a_date_is_the_one_promoted_before_it(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("run", "inbox", "--quiet")
    with closing(open_queue(f"sqlite:///{tmp_path / 'brain-triage-state' / 'review.db'}")) as queue:
        clock = iter([datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)])
        history = History(queue.engine, clock=lambda: next(clock))
        history.go_live(BUNDLE, by="olga", because="The first.")
        history.go_live(replace(BUNDLE, version="2.0.0", digest="f" * 64), by="olga", because="Better.")
    said = []
    for date in ("2026-02-28", "2026-05-31", "2026-06-01"):
        command("audit", "live", "--at", date, "--json")
        said.append(json.loads(capsys.readouterr().out)["live"])

    assert [live and live["bundle"]["version"] for live in said] == [None, BUNDLE.version, "2.0.0"]
    assert command("audit", "live", "--at", "2026-02-28") == 0
    assert "No model was promoted" in capsys.readouterr().out


def test_before_any_promotion_the_model_of_a_date_is_the_one_that_decided(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command("run", "inbox", "--quiet")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()

    command("audit", "live", "--at", tomorrow, "--json")
    found = json.loads(capsys.readouterr().out)
    command("audit", "live", "--at", tomorrow)

    assert (found["live"], found["last_decision"]["bundle"]) == (None, asdict(BUNDLE))
    assert f"by {BUNDLE.name} {BUNDLE.version}" in capsys.readouterr().out


def test_every_case_that_a_bundle_decided_is_listed(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("run", "inbox", "--quiet", inventory=MIXED)
    command("audit", "decided", "--bundle", BUNDLE.digest[:8], "--json")
    cases = json.loads(capsys.readouterr().out)["cases"]

    assert {case["pseudonym"]: case["route"] for case in cases} == {
        "case-a": "accepted",
        "case-b": "accepted",
        "case-r": "refused",
    }
    assert command("audit", "decided", "--bundle", BUNDLE.digest) == 0
    assert "3 decided by" in capsys.readouterr().out


def test_audit_verify_ends_with_0_when_the_trail_is_whole_and_1_when_not(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    command("run", "inbox", "--quiet", inventory=MIXED)
    assert command("audit", "verify") == 0
    assert "whole: 3 rows" in capsys.readouterr().out

    with sqlite3.connect(tmp_path / "brain-triage-state" / "review.db") as intruder:
        intruder.execute("DROP TRIGGER audit_no_update")
        intruder.execute("UPDATE audit SET content = '{}' WHERE sequence = 2")
    assert command("audit", "verify") == 1
    assert "broken at row 2: the row was edited" in capsys.readouterr().out


def test_audit_verify_holds_the_trail_against_the_heads_that_runs_logged(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("run", "inbox", "--quiet", inventory=MIXED)
    log = tmp_path / "brain-triage-state" / "log.jsonl"
    cut_short = '{"event": "run_ended", "audit_he'
    log.write_text(f"{log.read_text()}{cut_short}\n")
    assert command("audit", "verify") == 0
    assert "; 1 noted head lies in it" in capsys.readouterr().out

    assert command("audit", "verify", "--head", "f" * 64) == 1
    (tmp_path / "brain-triage-state" / "review.db").unlink()
    command("run", "inbox", "--quiet", inventory=MIXED)
    assert command("audit", "verify") == 1
    assert "broken at row 1: here or later it was written anew" in capsys.readouterr().out
