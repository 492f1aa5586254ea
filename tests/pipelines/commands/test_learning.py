"""Evaluation and training on the command line."""

import json
from pathlib import Path

import pytest

from pipelines.cli import main


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
