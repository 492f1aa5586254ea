"""What pip installs is what we tested: the built wheel, in a clean environment away from the checkout, runs a case."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

PACKAGES = ("triage", "models", "pipelines")
MAKE_SAMPLE = """
from pathlib import Path
from pipelines.sample import make_sample_inbox
make_sample_inbox(Path("inbox"), only=["dora"])
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=repository, check=True, capture_output=True)
    (path,) = folder.glob("brain_triage-*.whl")
    return path


@pytest.fixture(scope="module")
def clean_bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin/ of a new environment with the wheel and, to save minutes, the dependencies that are installed here.

    A folder named in a .pth file joins sys.path, but .pth files in it are not read: the checkout's own does not count.
    """
    home = tmp_path_factory.mktemp("clean") / "env"
    venv.create(home, with_pip=False)
    scheme = {"base": str(home), "platbase": str(home)}
    installed = Path(sysconfig.get_path("purelib", vars=scheme))
    (installed / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    bin_folder = Path(sysconfig.get_path("scripts", vars=scheme))
    options = ["--no-deps", "--no-index", "--quiet", "--ignore-installed"]
    python = str(bin_folder / "python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", *options, str(wheel)], check=True)
    return bin_folder


@pytest.fixture
def away(clean_bin: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a command of the clean environment far from the checkout; gives what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def run(program: str, *arguments: str) -> str:
        command = [str(clean_bin / program), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path, repository: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=repository, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")

    assert set(listed.stdout.split()) <= set(ZipFile(wheel).namelist())


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_installed_packages_are_those_of_the_wheel(clean_bin: Path, away: Callable[..., str]) -> None:
    show = "import triage, models, pipelines; print(triage.__file__, models.__file__, pipelines.__file__, sep='\\n')"

    assert all(Path(line).is_relative_to(clean_bin.parent) for line in away("python", "-c", show).splitlines())


def test_the_installed_wheel_runs_a_case(away: Callable[..., str], tmp_path: Path) -> None:
    away("python", "-c", MAKE_SAMPLE)

    away("brain-triage", "run", "inbox/dora", "--out", "out")

    assert (tmp_path / "out" / "index.html").is_file()
    (report,) = (tmp_path / "out").glob("*/report.json")
    assert json.loads(report.read_text())["verdict"]["route"] in {"accepted", "human_review"}
