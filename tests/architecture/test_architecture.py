"""The rules of the house that a machine can check."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGES = ("triage", "models", "pipelines")
SHAPELESS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "handler"}


def modules(repository: Path) -> list[Path]:
    return [path for package in PACKAGES for path in sorted((repository / package).rglob("*.py"))]


def own_lines(repository: Path) -> list[tuple[Path, str]]:
    """Every text line that git tracks, third-party files excepted."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [repository / name for name in listed.stdout.decode().split("\0") if name and "vendor" not in name]
    text = {".py", ".md", ".toml", ".yaml", ".json", ".html", ".js", ".css", ""}
    return [
        (path, line)
        for path in paths
        if path.suffix in text and path.is_file()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]


def loaded_by(statement: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter holds after a statement."""
    probe = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=120)
    return set(run.stdout.splitlines()[-1].split())


def test_the_import_contracts_hold(repository: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_every_package_stands_under_the_contracts_and_in_the_wheel(repository: Path) -> None:
    on_disk = {path.parent.name for path in repository.glob("*/__init__.py")} - {"tests"}
    settings = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]

    assert set(settings["importlinter"]["root_packages"]) == on_disk
    assert set(settings["hatch"]["build"]["targets"]["wheel"]["packages"]) == on_disk


def test_no_module_has_a_name_that_says_nothing(repository: Path) -> None:
    assert [path for path in modules(repository) if path.stem in SHAPELESS] == []


def test_no_module_is_named_like_the_standard_library(repository: Path) -> None:
    names = {path.stem for path in modules(repository)} - {"__init__", "__main__"}

    assert names & set(sys.stdlib_module_names) == set()


def test_no_module_is_longer_than_a_reader_holds(repository: Path) -> None:
    lengths = {str(path.relative_to(repository)): len(path.read_text().splitlines()) for path in modules(repository)}

    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_every_module_says_what_it_is(repository: Path) -> None:
    silent = [path for path in modules(repository) if (text := path.read_text().strip()) and not text.startswith('"""')]

    assert silent == []


def test_no_line_names_the_place_where_it_was_written(repository: Path) -> None:
    places = ("/wo" + "rk/", "/ho" + "me/")

    assert [(path, line) for path, line in own_lines(repository) if any(place in line for place in places)] == []


def test_torchvision_is_not_a_dependency(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]

    assert [requirement for requirement in required if requirement.startswith("torchvision")] == []
    assert "torchvision" not in loaded_by("import torch, monai.networks.nets")


@pytest.mark.parametrize("heavy", ["torch", "monai", "mlflow", "openvino"])
def test_the_domain_and_the_help_load_nothing_heavy(heavy: str) -> None:
    assert heavy not in loaded_by("import triage")
    assert heavy not in loaded_by(
        "import contextlib, sys\n"
        "from pipelines.cli import main\n"
        "sys.argv = ['brain-triage', '--help']\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main()"
    )
