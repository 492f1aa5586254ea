"""The sample inbox: made-up, repeatable, and each patient shows what it is said to show."""

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import EnhancedMRImageStorage, SecondaryCaptureImageStorage
from scipy import ndimage

from pipelines.sample import NOTE, make_sample_inbox
from pipelines.sample_heads import Grid, Head, acquire, affine_of, phantom
from pipelines.sample_patients import AXIAL, CORONAL, HALF_OUT, PATIENTS, SAGITTAL
from triage.case import Weighting
from triage.dicom.deid import Pseudonyms
from triage.errors import Code, TriageError
from triage.intake import take_inventory
from triage.verdict import Route

COARSE = Grid(axes="LPS", shape=(64, 80, 64), spacing_mm=(3.0, 3.0, 3.0))


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample_inbox(tmp_path_factory.mktemp("sample") / "inbox", only=("dora", "hana"))


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_the_sample_is_the_same_every_time(inbox: Path, tmp_path: Path) -> None:
    again = make_sample_inbox(tmp_path / "again", only=("dora", "hana"))

    assert digest(again) == digest(inbox)


def test_a_complete_sample_is_left_as_it_is(inbox: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in inbox.rglob("*")}

    make_sample_inbox(inbox, only=("dora", "hana"))

    assert {path: path.stat().st_mtime_ns for path in inbox.rglob("*")} == before


def test_a_folder_with_other_things_in_it_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"a picture")

    with pytest.raises(TriageError, match="not empty"):
        make_sample_inbox(tmp_path, only=("dora",))

    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_an_interrupted_sample_does_not_look_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.sample.ZipFile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_sample_inbox(tmp_path / "inbox", only=())

    assert not (tmp_path / "inbox").exists()


def test_a_note_and_an_archive_lie_between_the_patients(inbox: Path) -> None:
    assert "Nobody's head" in (inbox / NOTE).read_text()
    assert (inbox / "older-scans.zip").is_file()


def test_some_made_up_patients_are_fine_and_others_are_not() -> None:
    ends = [patient.expected for patient in PATIENTS.values()]

    assert ends.count(Route.ACCEPTED) >= 4
    assert {Route.HUMAN_REVIEW, Code.MISSING_SLICE} <= set(ends)


def test_one_slice_in_the_middle_is_missing(inbox: Path) -> None:
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted((inbox / "hana").rglob("*.dcm"))]
    gaps = np.diff([float(header.ImagePositionPatient[2]) for header in headers])

    assert np.sort(np.unique(gaps.round(3))).tolist() == [1.0, 2.0]
    assert (gaps > 1.5).sum() == 1
    assert len(headers) / 3 < int(np.argmax(gaps)) < 2 * len(headers) / 3


def test_the_reader_takes_what_is_fine_and_refuses_the_rest(inbox: Path) -> None:
    inventory = take_inventory(inbox, pseudonyms=Pseudonyms(key=bytes(32)))

    assert [case.structural.weighting for case in inventory.cases] == [Weighting.T1]
    assert {refused.code for refused in inventory.refused} == {PATIENTS["hana"].expected, Code.ARCHIVE}
    assert sum(inventory.skipped.values()) == 1


def test_a_patient_is_said_to_be_made_up(inbox: Path) -> None:
    header = pydicom.dcmread(next((inbox / "dora").rglob("*.dcm")), stop_before_pixels=True)

    assert str(header.PatientName).startswith("Sample^")
    assert header.PatientID == "SAMPLE-DORA"
    assert "nobody's head" in header.ImageComments


def test_a_study_holds_what_must_not_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.sample_patients.SAGITTAL", COARSE)
    PATIENTS["ana"].write("ana", tmp_path)
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in tmp_path.rglob("*.dcm")]

    assert {"localizer", "t1_mprage_sag_iso", "screen save"} == {header.SeriesDescription for header in headers}
    assert any(header.SOPClassUID == SecondaryCaptureImageStorage for header in headers)
    assert len({header.StudyInstanceUID for header in headers}) == 1
    assert len({header.SeriesInstanceUID for header in headers}) == 3


def test_one_patient_comes_as_enhanced_multi_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.sample_patients.CUBE", COARSE)
    PATIENTS["chen"].write("chen", tmp_path)
    (path,) = tmp_path.rglob("*.dcm")
    header = pydicom.dcmread(path, stop_before_pixels=True)

    assert header.SOPClassUID == EnhancedMRImageStorage
    assert header.NumberOfFrames == COARSE.shape[2]


@pytest.mark.parametrize("grid", [AXIAL, SAGITTAL, CORONAL], ids=["axial", "sagittal", "coronal"])
def test_a_grid_is_centred_and_runs_along_the_axes_that_it_names(grid: Grid) -> None:
    affine = affine_of(grid)
    middle = affine @ [*(np.array(grid.shape) - 1) / 2, 1]
    named = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    towards = np.array([named[axis] for axis in grid.axes]).T
    cosines = (affine[:3, :3] / grid.spacing_mm * towards).sum(0)

    assert middle[:3] == pytest.approx(grid.centre_mm)
    assert (cosines >= np.cos(np.deg2rad(grid.oblique_deg)) - 1e-9).all()
    assert np.linalg.norm(affine[:3, :3], axis=0) == pytest.approx(grid.spacing_mm)


def test_the_same_head_is_seen_from_every_orientation() -> None:
    head = Head(seed=1, warp_mm=(0.0, 0.0), noise=0.0, bias=0.0, scalp=False)
    axial = acquire(head, Grid(axes="LPS", shape=(63, 79, 63), spacing_mm=(3.0, 3.0, 3.0)))
    sagittal = acquire(head, Grid(axes="PIL", shape=(79, 63, 63), spacing_mm=(3.0, 3.0, 3.0)))

    np.testing.assert_allclose(sagittal.array.transpose(2, 0, 1)[:, :, ::-1], axial.array, atol=1e-2)


def test_left_stays_left() -> None:
    """The mass lies at x = +32 mm, to the patient's right: the largest part that differs from a healthy head."""
    healthy, ill = (
        acquire(Head(seed=3, noise=0.0, bias=0.0, scalp=False, lesions=lesions), COARSE) for lesions in (False, True)
    )
    parts, _ = ndimage.label(healthy.array - ill.array > 300)
    largest = np.argmax(np.bincount(parts.ravel())[1:]) + 1
    centre = ndimage.center_of_mass(parts == largest)

    assert (affine_of(COARSE) @ [*centre, 1])[0] == pytest.approx(32, abs=8)


def test_two_seeds_are_two_people() -> None:
    one, other = (acquire(Head(seed=seed, noise=0.0), COARSE).array for seed in (1, 2))

    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.98
    assert np.array_equal(one, acquire(Head(seed=1, noise=0.0), COARSE).array)


def test_half_of_the_head_lies_outside() -> None:
    ras_x = affine_of(HALF_OUT) @ np.array([[0, 0, 0, 1], [0, 0, HALF_OUT.shape[2] - 1, 1]]).T

    assert sorted(ras_x[0].round(1)) == [0.5, 159.5]


def test_the_phantom_is_a_cylinder() -> None:
    volume = phantom(COARSE, seed=1)
    filled = (volume.array > 300).sum() * 27

    assert filled == pytest.approx(np.pi * 85**2 * 150, rel=0.1)
