"""A place with little heads in its inbox and a model of them live: what the whole program is tried in."""

import hashlib
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from torch import Tensor, nn

from models.priors import pose
from models.runtime import RUNNERS, Runner, torch_runner
from pipelines import retrain_replay
from pipelines.cli import main
from pipelines.labelled import trunk_digest
from pipelines.run import find_cases
from pipelines.settings import Settings, load_settings
from tests.little_heads import AFFINE, LittleHead, little_bundle
from tests.phantoms import onto
from triage.dicom.write import write_enhanced_series
from triage.report.as_nifti import SEGMENTATION
from triage.review import open_queue

CONFIG = """
device: reference
blind_review: 0
writers: [nifti]
tracking: {{"on": {tracked}}}
"""


@dataclass(frozen=True)
class Hospital:
    """A folder with an inbox, and everything that an installation writes. patients: who is in the inbox."""

    folder: Path
    patients: Mapping[str, LittleHead]

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
        return nib.Nifti1Image(onto(self.patients[patient].labels, AFFINE, labels.shape, affine), affine)

    def right(self, patient: str) -> float:
        """Share of the head's voxels that the latest decision has right."""
        truth = np.asarray(self.truth(patient).dataobj)
        return float((self.segmentation(patient)[0] == truth)[truth > 0].mean())


def open_hospital(
    folder: Path,
    patients: Mapping[str, LittleHead],
    cases: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tracked: bool = False,
) -> Hospital:
    """Its model is live, its patients lie in the inbox. cases: a table of labelled heads, for the gate."""
    monkeypatch.setattr(pose, "STARTS_DEG", ((0, 0, 0),))  # little heads are never tilted
    see_every_image_once(monkeypatch)
    monkeypatch.setattr(retrain_replay, "REPLAY", folder / "replay")
    (folder / "site.yaml").write_text(CONFIG.format(tracked=str(tracked).lower()))
    place = Hospital(folder=folder, patients=patients)
    for patient, head in patients.items():
        tags = {"PatientID": patient, "PatientName": f"Doe^{patient}", "PatientAge": "040Y"}
        write_enhanced_series(head.volume, place.inbox / patient, tags=tags)
    first = little_bundle(folder / "first", folder / "replay")
    set_limits(first, cases, monkeypatch)
    assert place.command("promote", first, "--because", "The first model of this place.") == 0
    return place


def set_limits(bundle: Path, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """python -m pipelines.set_limits"""
    monkeypatch.setattr("sys.argv", ["set_limits", "--cases", str(cases), "--bundle", str(bundle)])
    runpy.run_module("pipelines.set_limits", run_name="__main__")


def see_every_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same heads come again all day, to the same trunk; and OpenVINO takes longer to compile it than it saves."""
    seen: dict[tuple[str, str], Tensor] = {}

    def runner(trunk: nn.Module) -> Runner:
        look, whose = torch_runner(trunk), trunk_digest(trunk)

        def run(image: Tensor) -> Tensor:
            key = whose, hashlib.sha256(image.numpy().tobytes()).hexdigest()
            if key not in seen:
                seen[key] = look(image)
            return seen[key].clone()

        return run

    for device in ("openvino", "torch"):
        monkeypatch.setitem(RUNNERS, device, runner)
