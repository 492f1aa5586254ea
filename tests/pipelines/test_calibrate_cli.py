"""What a user types to calibrate: where its bundle goes, which ledger it asks, and what it is asked for."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import pipelines.calibrate
from models.bundle import load_bundle, seal
from pipelines.calibrate import Calibration
from pipelines.cli import main
from pipelines.retrain_corrections import open_ledger
from pipelines.settings import SHIPPED_BUNDLE, Settings
from triage.ledger import Split


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, calibration: Calibration) -> dict[str, Any]:
    """What a calibration was asked for, which took no time; the commands are typed in `tmp_path`, beside a bundle B."""
    given: dict[str, Any] = {}

    def calibrate(**options: Any) -> Calibration:
        given.update(options)
        options["ledger"].freeze(["somebody"], Split.CALIBRATE)
        return calibration

    monkeypatch.setattr(pipelines.calibrate, "calibrate", calibrate)
    monkeypatch.chdir(tmp_path)
    seal(shutil.copytree(SHIPPED_BUNDLE, tmp_path / "B"))
    return given


def test_without_a_place_the_new_bundle_lies_beside_the_old_one_and_is_never_overwritten(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calibrate", "--cases", "cases.csv", "--bundle", "B", "--risk", "0.05", "--confidence", "0.95"]
    head, _, last = load_bundle(Path("B")).version.rpartition(".")

    assert main(words) == 0
    assert (asked["risks"], asked["lesion_risks"], asked["whatever_holds"]) == ((0.05,), (), False)
    assert load_bundle(Path(f"B-{head}.{int(last) + 1}")).version == f"{head}.{int(last) + 1}"
    capsys.readouterr()
    assert main(words) == 1
    assert "never overwritten" in capsys.readouterr().err


def test_its_ledger_is_that_of_the_runs_of_the_same_folders_and_a_new_one_is_never_silent(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["calibrate", "--cases", "cases.csv", "--bundle", "B", "--out", str(tmp_path / "some" / "place")]

    assert main([*words, "--to", "first"]) == 0
    assert "A new ledger" in capsys.readouterr().err
    assert open_ledger(Settings(out=tmp_path / "some" / "place")).find("somebody") is Split.CALIBRATE
    assert not (tmp_path / "brain-triage-state").exists()
    assert main([*words, "--to", "second"]) == 0
    assert "A new ledger" not in capsys.readouterr().err
