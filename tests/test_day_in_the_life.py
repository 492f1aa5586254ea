"""A day in the life: twelve scans arrive, three of them hard, and in the evening the model has learnt from two.

Everything goes through the commands and the review pages as people use them; only the heads are little ones.
"""

import runpy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from models.parallel import one_thread_an_operation
from models.priors import pose
from pipelines import retrain_replay
from pipelines.bundles import identify, open_history
from pipelines.cli import main
from pipelines.retrain_corrections import open_ledger
from pipelines.review import review_site
from pipelines.run import find_cases
from pipelines.settings import Settings, load_settings
from tests.builders import onto
from tests.little_heads import AFFINE, LittleHead, little_bundle, write_table
from tests.triage.web.readers import the_owner
from triage.dicom.write import write_enhanced_series
from triage.ledger import Split
from triage.report.as_nifti import SEGMENTATION
from triage.review import open_queue
from triage.verdict import Route

RIGHT, LEFT = (9.0, -3.0, 4.0), (-9.0, -3.0, 4.0)
HARD: Mapping[str, LittleHead] = {
    "patient-03": LittleHead(seed=3, lesion=RIGHT),
    "patient-07": LittleHead(seed=7, lesion=LEFT),
    "patient-10": LittleHead(seed=10, noise=0.15),
}
"""Two have a lesion, which the model does not expect; one moved so much that nobody can read it."""
PATIENTS: Mapping[str, LittleHead] = {f"patient-{k:02}": LittleHead(seed=k) for k in range(12)} | HARD
CONFIG = """
device: reference
blind_review: 0
writers: [nifti]
tracking: {"on": false}
"""
TUNE = [("tune", LittleHead(seed=100 + k, noise=noise)) for k, noise in enumerate((0.008, 0.009, 0.0095, 0.010))]
TEST = [("test", LittleHead(seed=200 + k, lesion=(None, RIGHT, LEFT)[k % 3])) for k in range(10)]


@dataclass(frozen=True)
class Hospital:
    """A place with an inbox, and everything that an installation writes."""

    folder: Path

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    @property
    def settings(self) -> Settings:
        return load_settings(self.folder / "site.yaml").changed(
            {"out": self.folder / "out", "state": self.folder / "state"}
        )

    def command(self, *words: object) -> int:
        """A command of the program, for this place."""
        places = ("--out", self.settings.out, "--state", self.settings.state, "--config", self.folder / "site.yaml")
        return main([str(word) for word in (*words, *places)])

    @cached_property
    def pseudonyms(self) -> Mapping[str, str]:
        """Patient -> pseudonym."""
        cases = find_cases(self.inbox, self.settings).cases
        return {case.structural.files[0].path.parent.name: case.pseudonym for case in cases}

    def flagged(self) -> set[str]:
        """Patients that wait for a human."""
        queue = open_queue(self.settings.review_database)
        waiting = {item.pseudonym for item in queue.open_items()}
        queue.close()
        return {patient for patient, pseudonym in self.pseudonyms.items() if pseudonym in waiting}

    def segmentation(self, patient: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the latest decision on the scanner's grid, and the affine of the grid."""
        image = nib.load(self.settings.out / self.pseudonyms[patient] / SEGMENTATION)
        return np.asarray(image.dataobj), np.asarray(image.affine)

    def truth(self, patient: str) -> nib.Nifti1Image:
        """What a careful reviewer draws."""
        labels, affine = self.segmentation(patient)
        return nib.Nifti1Image(onto(PATIENTS[patient].labels, AFFINE, labels.shape, affine), affine)

    def right(self, patient: str) -> float:
        """Share of the head's voxels that the latest decision has right."""
        truth = np.asarray(self.truth(patient).dataobj)
        return float((self.segmentation(patient)[0] == truth)[truth > 0].mean())


@pytest.fixture
def one_thread() -> Iterator[None]:
    """In heads this small, threads mostly wait for each other."""
    with one_thread_an_operation():
        yield


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Hospital:
    """Its model is live; twelve patients lie in the inbox."""
    monkeypatch.setattr(pose, "STARTS_DEG", ((0, 0, 0),))  # little heads are never tilted
    monkeypatch.setattr(retrain_replay, "REPLAY", tmp_path / "replay")
    (tmp_path / "site.yaml").write_text(CONFIG)
    place = Hospital(folder=tmp_path)
    for patient, head in PATIENTS.items():
        tags = {"PatientID": patient, "PatientName": f"Doe^{patient}", "PatientAge": "040Y"}
        write_enhanced_series(head.volume, place.inbox / patient, tags=tags)
    cases = write_table(tmp_path / "cases", [*TUNE, *TEST])
    first = little_bundle(tmp_path / "first", tmp_path / "replay")
    set_limits(first, cases, monkeypatch)
    assert place.command("promote", first, "--because", "The first model of this place.") == 0
    return place


def set_limits(bundle: Path, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """python -m pipelines.set_limits"""
    monkeypatch.setattr("sys.argv", ["set_limits", "--cases", str(cases), "--bundle", str(bundle)])
    runpy.run_module("pipelines.set_limits", run_name="__main__")


def read_the_queue(hospital: Hospital, correct: Sequence[str], reject: str) -> None:
    """The owner signs in by the one-time link, and reads every flagged case."""
    with review_site(hospital.settings, secure=False, double=False) as site, the_owner(site) as reader:
        for patient in correct:
            reader.correct(hospital.pseudonyms[patient], hospital.truth(patient).to_bytes(), "missed_lesion")
        reader.reject(hospital.pseudonyms[reject], "failed")


def let_train(hospital: Hospital, patients: Sequence[str]) -> None:
    """Where the ledger would let chance decide, these subjects train."""
    of = {case.pseudonym: case.subject for case in find_cases(hospital.inbox, hospital.settings).cases}
    open_ledger(hospital.settings).freeze([of[hospital.pseudonyms[patient]] for patient in patients], Split.TRAIN)


@pytest.mark.slow
def test_what_two_corrections_teach_in_a_day(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lesions, unreadable = ["patient-03", "patient-07"], "patient-10"
    cases, second = hospital.folder / "cases" / "cases.csv", hospital.folder / "second"

    assert hospital.command("run", hospital.inbox) == 0
    assert hospital.flagged() == {*lesions, unreadable}
    before = {patient: hospital.right(patient) for patient in PATIENTS}

    read_the_queue(hospital, lesions, unreadable)
    assert hospital.flagged() == set()

    let_train(hospital, lesions)
    assert hospital.command("retrain", "--to", second) == 0
    set_limits(second, cases, monkeypatch)
    assert hospital.command("promote", second) == 1  # it was not compared
    assert hospital.command("challenge", second, "--cases", cases, "--cache", hospital.folder / "cache") == 0
    assert "| all | Dice | 10 |" in capsys.readouterr().out
    assert hospital.command("promote", second) == 0

    assert hospital.command("run", hospital.inbox) == 0
    assert hospital.flagged() == {unreadable}
    now = {patient: hospital.right(patient) for patient in PATIENTS}
    assert all(now[patient] > before[patient] for patient in lesions)
    assert all(now[patient] > before[patient] - 0.001 for patient in PATIENTS if patient != unreadable)

    with open_history(hospital.settings) as history:
        first, last = history.lives()[-2:]
        decided = {life.bundle.digest: history.decided_by(life.bundle.digest) for life in (first, last)}
    assert last.bundle.version == "1.1.0"
    assert identify(hospital.settings.state_folder / "bundles" / last.bundle.digest) == last.bundle
    for life in (first, last):
        assert {case.pseudonym for case in decided[life.bundle.digest]} == set(hospital.pseudonyms.values())
        assert all(case.decision.bundle == life.bundle for case in decided[life.bundle.digest])
    old = decided[first.bundle.digest]
    assert [case.decision.route for case in old].count(Route.HUMAN_REVIEW) == len(HARD)
    assert not any(case.decision.current for case in old)
    assert hospital.command("audit", "verify") == 0
