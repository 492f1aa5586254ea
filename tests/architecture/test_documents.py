"""What the documents tell a newcomer to type or to open is there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

DOCUMENTS = ("README.md", "CONTRIBUTING.md")


def targets(repository: Path) -> list[str]:
    return re.findall(r"^([a-z][a-z-]*):(?!=)", (repository / "Makefile").read_text(), re.MULTILINE)


def test_help_is_the_first_target_and_lists_every_task(repository: Path) -> None:
    run = subprocess.run(["make", "--no-print-directory"], cwd=repository, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make ([a-z-]+) ", run.stdout, re.MULTILINE)

    assert targets(repository)[0] == "help"
    assert {"help", "setup", "run", "review", "test", "check", "bench", "clean"} <= set(listed)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_only_targets_that_exist(repository: Path, document: str) -> None:
    named = re.findall(r"(?:^|`)make ([a-z-]+)", (repository / document).read_text(), re.MULTILINE)

    assert set(named) <= set(targets(repository))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_links_only_to_files_that_exist(repository: Path, document: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (repository / document).read_text())

    assert [link for link in links if "://" not in link and not (repository / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_only_commands_that_exist(repository: Path, document: str) -> None:
    from pipelines.cli import app

    named = re.findall(r"brain-triage ([a-z]+)", (repository / document).read_text())
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}

    assert set(named) <= commands | {group.name for group in app.registered_groups} | {"reads"}


@pytest.mark.parametrize(("version", "accepted"), [("3.10", False), ("3.11", True), ("3.13", True), ("3.14", False)])
def test_setup_refuses_a_python_that_will_not_do(
    tmp_path: Path, repository: Path, version: str, accepted: bool
) -> None:
    """A stand-in for Python answers as that version; where it is accepted, it is asked to make an environment next."""
    major, minor = version.split(".")
    stand_in = tmp_path / "python"
    stand_in.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -V ] && echo "Python {version}.0" && exit 0\n'
        f'[ "$1" = -c ] && exec python3 -c "import sys; sys.version_info = ({major}, {minor}, 0); $2"\n'
        "echo asked for an environment; exit 7\n"
    )
    stand_in.chmod(0o755)
    command = ["make", "-f", str(repository / "Makefile"), "setup", f"PYTHON={stand_in}"]
    (tmp_path / "pyproject.toml").touch()
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run.returncode != 0
    assert ("asked for an environment" in run.stdout) is accepted
    assert ("needs Python 3.11, 3.12 or 3.13" in run.stderr) is not accepted


@pytest.mark.parametrize("status", [0, 1])
def test_ci_ends_with_the_closing_line_of_pytest_and_the_status_of_make(
    tmp_path: Path, repository: Path, status: int
) -> None:
    closing = f"===== {status} failed, 3 passed in 1.00s ====="
    (tmp_path / ".ci").mkdir()
    for name in ("run", "debian-packages"):
        (tmp_path / ".ci" / name).write_text((repository / ".ci" / name).read_text())
    (tmp_path / "Makefile").write_text(f'check:\n\t@echo "{closing}"\n\t@echo "something else"; exit {status}\n')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    command = ["bash", str(tmp_path / ".ci" / "run")]
    run = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)

    assert run.stdout.splitlines()[-1] == closing
    assert (run.returncode != 0) is (status != 0)
