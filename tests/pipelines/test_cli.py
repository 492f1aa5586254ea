"""The command line: what it prints, the status it ends with, and what it does not load."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pipelines.run
from pipelines.cli import main
from tests.pipelines.command_line import Command
from triage.__main__ import PACKAGES, shadowed


def loaded_by_help() -> set[str]:
    probe = "import sys\nfrom pipelines.cli import main\nassert main(['--help']) == 0\nprint(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


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
