"""The command line: what it prints, the status it ends with, and what it does not load."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

import pipelines.replay
import pipelines.run
import pipelines.stress
from pipelines.cli import main
from pipelines.replay import Replay
from pipelines.run_case import Tools
from pipelines.settings import Settings
from pipelines.stress import Rung, Step
from tests.builders import a_case, a_refused_input
from tests.dicom_builders import classic
from tests.fakes import FakeEngine, fake_tools
from tests.pipelines.rungs import a_rung
from tests.verdicts import BUNDLE
from triage.__main__ import PACKAGES, shadowed
from triage.case import Inventory
from triage.dicom.deid import Pseudonyms, load_or_create_key
from triage.intake import take_inventory
from triage.ports import Queue
from triage.report import WRITERS
from triage.review import History, open_queue

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


def loaded_by_help() -> set[str]:
    probe = "import sys\nfrom pipelines.cli import main\nassert main(['--help']) == 0\nprint(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


# run


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


# queue and audit


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


# locate


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


# errors


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("run",), ("run", "inbox", "--threads", "many"), ("run", "inbox", "--bogus")]
)
def test_a_command_that_is_not_understood_ends_with_1_not_2(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert command(*arguments) == 1
    assert "Usage" in capsys.readouterr().err


def test_an_error_says_what_and_what_to_do_without_a_traceback(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    status = command("run", "inbox", "--out", "inbox/out")
    said = capsys.readouterr().err

    assert status == 1
    assert "The output folder lies in the inbox. Give one outside it with --out." in said
    assert "Traceback" not in said


def test_an_error_of_ours_names_its_kind_and_its_lines_and_no_value(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("CANARY")

    monkeypatch.setattr(pipelines.run, "run", broken)
    status = main(["run", "inbox"])
    said = capsys.readouterr().err

    assert status == 1
    assert "KeyError" in said
    assert "test_cli.py:" in said
    assert "CANARY" not in said


def test_a_stopped_run_ends_with_1_and_says_how_to_continue(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(pipelines.run, "run", stopped)

    assert main(["run", "inbox"]) == 1
    assert "run again to continue" in capsys.readouterr().err


# what is loaded


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "monai", "mlflow", "openvino", "pydicom", "highdicom", "sqlalchemy", "numpy", "pandas"}

    assert heavy & loaded_by_help() == set()


def test_help_takes_half_a_second_of_the_processor() -> None:
    before = os.times()
    subprocess.run([sys.executable, "-m", "pipelines", "--help"], check=True, capture_output=True)
    after = os.times()

    assert (after.children_user - before.children_user) + (after.children_system - before.children_system) <= 0.5


def test_help_names_every_command_and_that_it_is_for_research_only() -> None:
    run = subprocess.run([sys.executable, "-m", "triage", "--help"], check=True, capture_output=True, text=True)

    assert all(name in run.stdout for name in ("run", "queue", "audit", "sample", "version"))
    assert "Not a medical device" in " ".join(run.stdout.split())


# python -m triage


def test_the_three_packages_lie_side_by_side() -> None:
    assert shadowed() is None


def test_a_package_that_hides_one_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").touch()
    run = subprocess.run(
        [sys.executable, "-c", "import sys; from triage.__main__ import main; sys.exit(main())", "version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 1
    assert "Another package named `models` hides ours" in run.stderr
    assert str(tmp_path) in run.stderr


def test_a_package_that_is_missing_is_named() -> None:
    assert "`no_such_package` is not installed" in str(shadowed((*PACKAGES, "no_such_package")))


def test_evaluate_prints_the_dice_of_every_scan_and_keeps_all_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from types import SimpleNamespace

    from torch import nn

    (tmp_path / "cases.csv").write_text(
        "case,split,finding,t1,label,label2,label_kind\none,test,normal,a.nii.gz,b.nii.gz,,manual\n"
    )
    engine = SimpleNamespace(model=SimpleNamespace(trunk=nn.Identity()), runner=None)
    monkeypatch.setattr("pipelines.engine.load_engine", lambda _: engine)
    monkeypatch.setattr(
        "pipelines.evaluate.evaluate", lambda scans, *_: ({"case": s.name, "dice": {"brainstem": 0.875}} for s in scans)
    )

    status = main(
        ["evaluate", "--cases", str(tmp_path / "cases.csv"), "--splits", "tune,test", "--out", str(tmp_path / "o.json")]
    )

    assert status == 0
    assert "| one | .875 |" in capsys.readouterr().out
    assert json.loads((tmp_path / "o.json").read_text())[0]["case"] == "one"


def test_the_help_of_train_is_that_of_its_own_parser(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0

    assert "--lesion-shapes" in capsys.readouterr().out


def test_an_option_that_train_does_not_know_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--out", "x", "--speed", "9"]) == 1

    assert "--speed" in capsys.readouterr().err


def test_a_folder_that_holds_no_training_is_not_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track", "import", str(tmp_path)]) == 1

    assert "holds no training" in capsys.readouterr().err


# stress


def test_stress_tells_every_step_while_it_goes_and_then_where_the_page_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def climb(
        inbox: Path, settings: Settings, path: Sequence[Step], *, labels: Path | None, tell: Callable[[Rung], None]
    ) -> list[Rung]:
        rungs = [a_rung(), *(a_rung(kind, level, score=level) for kind, level in path)]
        for rung in rungs:
            tell(rung)
        return rungs

    monkeypatch.setattr(pipelines.stress, "stress", climb)

    status = main(["stress", "scan", "--kinds", "noise", "--levels", "1,3", "--out", str(tmp_path / "ladder")])

    *told, last = capsys.readouterr().out.splitlines()
    assert status == 0
    assert [line.split()[1:3] for line in told[1:]] == [["noise", "1"], ["noise", "3"]]
    assert last == f"Stress ladder: {tmp_path / 'ladder' / 'stress.md'}"
    assert "self-agreement" in (tmp_path / "ladder" / "stress.md").read_text()
