"""What a user types to retrain: the command, the MLflow Project, and what they say when there is nothing to do."""

import re
from pathlib import Path

import pytest
import typer
import yaml

from pipelines.cli import app, main
from pipelines.retrain import Retrained
from pipelines.retrain_text import as_json, as_text
from tests.verdicts import BUNDLE

FOUND = Retrained(
    bundle=BUNDLE,
    train=12,
    tune=2,
    left_out={"of a subject that nobody knows": 3},
    stages={
        "head": {
            "metrics": {"dice.train.before": 0.8, "dice.train.after": 0.875},
            "system": {"wall_seconds": 30.0, "cpu_seconds": 41.0},
        },
        "posterior": {"metrics": {}, "system": {"wall_seconds": 10.0, "cpu_seconds": 19.0}},
    },
    promise="Every case goes to a human.",
    run_id="abc",
)


@pytest.mark.parametrize("name", ["retrain", "retrain_full"])
def test_the_project_calls_the_command_with_options_that_it_has(repository: Path, name: str) -> None:
    entry = yaml.safe_load((repository / "MLproject").read_text())["entry_points"][name]
    options = {name for param in typer.main.get_command(app).commands["retrain"].params for name in param.opts}  # type: ignore[attr-defined]

    used = re.findall(r"(--\w+) \{(\w+)\}", entry["command"])

    assert " python -m pipelines retrain " in entry["command"]
    assert ("--full" in entry["command"]) == (name == "retrain_full")
    assert {option for option, _ in used} <= options
    assert [name for _, name in used] == list(entry["parameters"])


def test_what_was_made_is_told_in_words() -> None:
    text = as_text(FOUND)

    assert "12 corrections taught, 2 were only looked at; left out: 3 of a subject that nobody knows" in text
    assert "corrections that taught: 0.800 before, 0.875 after" in text
    assert "40 s, 60 CPU seconds" in text
    assert "Every case goes to a human." in text
    assert as_json(FOUND)["bundle"]["digest"] == BUNDLE.digest


@pytest.mark.parametrize(
    "arguments",
    [
        ["retrain", "--to", "new", "--full", "--iterations", "0"],
        ["retrain", "--to", "new", "--seed", "-1"],
        ["next", "--n", "0"],
        ["next", "--n", "-3"],
    ],
)
def test_numbers_that_mean_nothing_are_not_understood(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert "Invalid value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["next"], "No case in"), (["retrain", "--to", "new"], "There is no review queue")],
)
def test_without_a_run_it_says_what_to_do(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*arguments, "--out", str(tmp_path / "out"), "--state", str(tmp_path / "state")])

    assert status == 1
    assert words in capsys.readouterr().err
