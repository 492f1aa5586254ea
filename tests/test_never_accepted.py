"""What must never be accepted, whatever its header says: noise, nothing, fruit, a head upside down, wrong contrast.

Knees and fruit come as DICOM that calls itself a T1 of a brain; the rest has only its file name to lie with.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.bench.no_brains import FIELD, never_accepted
from tests.dicom_builders import classic
from triage.case import Volume

pytestmark = pytest.mark.slow

Image = NDArray[np.float32]


def template() -> nib.Nifti1Image:
    return nib.load(str(files("nilearn")) + "/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")


HEADS: Mapping[str, Callable[[Image], Image]] = {
    "upside_down": lambda t1: t1[:, :, ::-1],
    "inverted_contrast": lambda t1: np.where(t1 > 0, t1.max() + 20 - t1, 0),
}
NOTHING: Mapping[str, Image] = {
    "checkerboard": (100 * (np.indices(FIELD) // 20).sum(axis=0) % 2 + 1).astype(np.float32),
    **{
        name: make().array
        for name, make in never_accepted(Path("nowhere")).items()
        if name != "phantom"  # a head that the sample inbox holds: see test_sample_run.py
    },
}
LABELLED_BRAIN = ("knees", "fruit")
LABELS = {
    "BodyPartExamined": "BRAIN",
    "StudyDescription": "MR BRAIN W/O CONTRAST",
    "ProtocolName": "t1_mprage_sag_p2_iso",
    "SeriesDescription": "T1 MPRAGE brain",
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    place = tmp_path_factory.mktemp("wrong")
    (place / "inbox").mkdir()
    source = template()
    t1 = np.asarray(source.dataobj, np.float32)
    images = {name: (wrong(t1), source.affine) for name, wrong in HEADS.items()}
    for name in LABELLED_BRAIN:
        volume = Volume(array=NOTHING[name], affine=np.eye(4))
        classic(place / "inbox" / name, volume=volume, PatientID=name, **LABELS)
    images |= {name: (image, np.eye(4)) for name, image in NOTHING.items() if name not in LABELLED_BRAIN}
    for name, (image, affine) in images.items():
        nib.save(nib.Nifti1Image(image, affine), place / "inbox" / f"{name}_T1w.nii.gz")
    command = [
        sys.executable,
        "-m",
        "triage",
        "run",
        str(place / "inbox"),
        "--out",
        str(place / "out"),
        "--writer",
        "json",
    ]
    run = subprocess.run([*command, "--quiet", "--no-tracking"], capture_output=True, text=True, check=False)
    assert run.returncode in (0, 2), run.stdout + run.stderr
    return [json.loads(p.read_text()) for p in sorted((place / "out").glob("bt-*/report.json"))]


def test_every_wrong_input_ends_exactly_once(reports: list[dict[str, object]]) -> None:
    assert len(reports) == len(HEADS) + len(NOTHING)


def test_none_is_accepted(reports: list[dict[str, object]]) -> None:
    routes = [r["verdict"]["route"] for r in reports]  # type: ignore[index]

    assert "accepted" not in routes


def test_dicom_labelled_brain_is_segmented_as_one_and_goes_to_a_human(reports: list[dict[str, object]]) -> None:
    read = [r for r in reports if r["case"]["input"] is not None]  # type: ignore[index]
    labelled = [r for r in read if r["case"]["input"]["format"] == "dicom_classic"]  # type: ignore[index]

    assert len(labelled) == len(LABELLED_BRAIN)
    for report in labelled:
        assert report["measurements"]
        assert report["verdict"]["route"] == "human_review"  # type: ignore[index]
