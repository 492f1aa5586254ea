"""Cases on the command line: run, queue, replay, locate."""

import json
from pathlib import Path

import pytest

import pipelines.replay
from pipelines.cli import main
from pipelines.replay import Replay
from tests.dicom_builders import classic
from tests.pipelines.command_line import ACCEPTED, MIXED, Command
from tests.verdicts import BUNDLE
from triage.case import Inventory
from triage.dicom.deid import Pseudonyms, load_or_create_key
from triage.intake import take_inventory


@pytest.mark.parametrize(("inventory", "status"), [(ACCEPTED, 0), (MIXED, 2)])
def test_run_ends_with_0_when_all_are_decided_and_with_2_when_some_are_refused(
    command: Command, inventory: Inventory, status: int
) -> None:
    assert command("run", "inbox", inventory=inventory) == status


def test_run_writes_to_out_unless_it_is_told(command: Command, tmp_path: Path) -> None:
    command("run", "inbox")
    command("run", "inbox", "--out", "results/today", "--state", "state")

    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "brain-triage-state" / "review.db").is_file()
    assert (tmp_path / "results" / "today" / "index.html").is_file()
    assert (tmp_path / "state" / "review.db").is_file()


def test_run_ends_with_a_table_of_what_came_out(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("run", "inbox", inventory=MIXED)
    said = capsys.readouterr().out

    assert "Not a medical device" in said
    assert "3 decided in" in said
    assert "Left alone: 2 (CT)" in said
    assert "Report: out/index.html" in said


def test_quiet_prints_nothing_when_all_is_well(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    command("run", "inbox", "--quiet")

    assert "".join(capfd.readouterr()) == ""


def test_json_prints_one_object_and_nothing_else(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    status = command("run", "inbox", "--json", inventory=MIXED)
    out, err = capfd.readouterr()
    summary = json.loads(out)

    assert err == ""
    assert (summary["exit_status"], summary["status"]) == (status, "finished")
    assert summary["counts"] == {"accepted": 2, "human_review": 0, "refused": 1}
    assert {case["pseudonym"] for case in summary["cases"]} == {"case-a", "case-b", "case-r"}


def test_a_number_that_is_none_is_valid_json(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    command("run", "inbox", "--json", doubt=float("nan"))
    (case,) = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)["cases"]

    assert (case["route"], case["score"]) == ("human_review", "nan")


def test_settings_of_the_command_line_win_over_those_of_the_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("out: from-file\n")
    command("run", "inbox", "--config", "mine.yaml")
    command("run", "inbox", "--config", "mine.yaml", "--out", "from-line")

    assert (tmp_path / "from-file" / "index.html").is_file()
    assert (tmp_path / "from-line" / "index.html").is_file()


def test_queue_lists_who_waits_most_doubtful_first(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("run", "inbox", "--quiet", inventory=MIXED, doubt=4.0)
    assert command("queue") == 0
    said = capsys.readouterr().out

    assert said.index("case-r") < said.index("case-a") < said.index("case-b")


def test_queue_as_json_keeps_the_order(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("run", "inbox", "--quiet", inventory=MIXED, doubt=4.0)
    command("queue", "--json")
    items = json.loads(capsys.readouterr().out)["items"]

    assert [(item["pseudonym"], item["doubt"]) for item in items] == [
        ("case-r", "inf"),
        ("case-a", 4.0),
        ("case-b", 4.0),
    ]


def test_an_empty_queue_says_so(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("run", "inbox", "--quiet")
    command("queue")

    assert "No case waits" in capsys.readouterr().out


@pytest.mark.parametrize(("differs", "status"), [((), 0), (("score: 0.2 became 0.3",), 1)])
def test_replay_ends_with_1_when_something_differs_and_names_it(
    command: Command,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    differs: tuple[str, ...],
    status: int,
) -> None:
    command("run", "inbox", "--quiet")
    found = Replay(bundle_digest=BUNDLE.digest, compared=("segmentation.nii.gz",), differs=differs)
    monkeypatch.setattr(pipelines.replay, "replay", lambda *_, **__: found)

    assert command("replay", "case-a", "inbox") == status
    assert (differs[0] if differs else "Identical") in capsys.readouterr().out


@pytest.fixture
def located(tmp_path: Path) -> tuple[str, Path, Path]:
    """A pseudonym, its inbox, and the state folder that holds the key."""
    study, state = tmp_path / "inbox" / "some" / "study", tmp_path / "state"
    classic(study)
    state.mkdir()
    key = load_or_create_key(state / "pseudonym.key")
    (case,) = take_inventory(tmp_path / "inbox", pseudonyms=Pseudonyms(key=key)).cases
    return case.pseudonym, tmp_path / "inbox", state


def test_locate_prints_the_folder_of_a_case(
    located: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pseudonym, inbox, state = located

    assert main(["locate", pseudonym, str(inbox), "--state", str(state)]) == 0
    assert capsys.readouterr().out.strip() == str(inbox / "some" / "study")


def test_without_the_key_nothing_is_located_and_no_key_is_made(
    located: tuple[str, Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pseudonym, inbox, _ = located

    assert main(["locate", pseudonym, str(inbox), "--state", str(tmp_path / "other")]) == 1
    assert "no key" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_pseudonym_of_another_inbox_is_not_located(
    located: tuple[str, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, inbox, state = located

    assert main(["locate", "bt-nobody", str(inbox), "--state", str(state)]) == 1
    assert "No readable case" in capsys.readouterr().err
