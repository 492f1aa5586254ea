"""A run that is killed at random moments and started again ends as if nothing had happened.

Fifty kills: `BRAIN_TRIAGE_KILLS=50 pytest -k killed_at_random`.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from models.parallel import one_thread_an_operation
from tests.hospital import Hospital, open_hospital
from tests.killed import KILLS, killed_at_random
from tests.little_heads import LittleHead, write_table

PATIENTS = {"patient-1": LittleHead(seed=1), "patient-2": LittleHead(seed=2, lesion=(9.0, -3.0, 4.0))}
TUNE = [("tune", LittleHead(seed=100 + k, noise=noise)) for k, noise in enumerate((0.008, 0.010))]
RUN_S = 4.0
"""What a run of this place takes on a quiet machine, about."""


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hospital]:
    (tmp_path / "place").mkdir()
    with one_thread_an_operation():
        place = open_hospital(tmp_path / "place", PATIENTS, write_table(tmp_path / "cases", TUNE), monkeypatch)
        assert place.pseudonyms  # the key of the pseudonyms is drawn once
        yield place


def moved(hospital: Hospital, folder: Path) -> Hospital:
    """The same place elsewhere, before its first run."""
    shutil.copytree(hospital.folder, folder)
    return replace(hospital, folder=folder)


def left(hospital: Hospital) -> dict[str, object]:
    """All that a run leaves, but for times."""
    settings = hospital.settings
    with closing(sqlite3.connect(settings.state_folder / "review.db")) as database:
        ask = database.execute
        rows = [
            ask("SELECT pseudonym, content_sha256, bundle_digest, route, current FROM decision ORDER BY 1").fetchall(),
            ask("SELECT pseudonym, state FROM review_item ORDER BY 1").fetchall(),
            ask("SELECT count(*) FROM audit").fetchall(),
        ]
    files = (path for path in sorted(settings.out.rglob("*")) if path.is_file())
    return {"rows": rows, "files": {str(path.relative_to(settings.out)): content(path) for path in files}}


def content(path: Path) -> str:
    """Digest of a volume; other files say when they were written."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.name.endswith(".nii.gz") else ""


@pytest.mark.slow
def test_a_run_killed_at_random_moments_loses_nothing_and_does_nothing_twice(
    hospital: Hospital, tmp_path: Path
) -> None:
    quiet = moved(hospital, tmp_path / "quiet")
    assert quiet.command("run", quiet.inbox) == 0

    died = 0
    for world in count():
        place = moved(hospital, tmp_path / f"world-{world}")
        died += killed_at_random(place.command, "run", place.inbox, longest_s=RUN_S, kills=KILLS - died, seed=world)
        assert place.command("run", place.inbox) == 0

        assert left(place) == left(quiet)
        assert place.command("audit", "verify") == 0
        shutil.rmtree(place.folder)
        if died == KILLS:
            break
