"""The main job on real scans: they are segmented well, and what is no brain is never accepted."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pipelines.evaluate import evaluate, read_scans

pytestmark = pytest.mark.slow


def _run(inbox: Path, place: Path) -> list[dict[str, object]]:
    command = [
        sys.executable,
        "-m",
        "triage",
        "run",
        str(inbox),
        "--out",
        str(place / "out"),
        "--quiet",
        "--no-tracking",
    ]
    finished = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert finished.returncode in (0, 2), finished.stdout + finished.stderr
    return [json.loads(p.read_text()) for p in sorted((place / "out").glob("bt-*/report.json"))]


def test_a_real_scan_agrees_with_its_manual_labels(shared_data: Path) -> None:
    from pipelines.engine import load_engine
    from pipelines.settings import SHIPPED_BUNDLE

    scan = next(s for s in read_scans(shared_data / "cases.csv", ["tune"]) if s.manual and s.labels)

    (row,) = evaluate([scan], load_engine(SHIPPED_BUNDLE))

    assert row["dice"]["white_matter"] > 0.88
    assert row["dice"]["grey_matter"] > 0.85
    assert row["dice"]["lateral_ventricles"] > 0.75


def test_what_is_not_a_brain_mri_is_never_accepted(shared_data: Path, tmp_path: Path) -> None:
    reports = _run(shared_data / "not_a_brain_mri", tmp_path)

    assert len(reports) == len(list((shared_data / "not_a_brain_mri").iterdir()))
    assert all(r["verdict"]["route"] != "accepted" for r in reports)  # type: ignore[index]


def test_a_synthetic_pattern_labelled_t1_is_not_accepted(shared_data: Path, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    with tarfile.open(shared_data / "dicom" / "R06_ge_mprage_ax_oblique.tar.gz") as archive:
        archive.extractall(inbox, filter="data")

    (report,) = _run(inbox, tmp_path)

    assert report["verdict"]["route"] == "human_review"  # type: ignore[index]
