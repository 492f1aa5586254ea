"""The DICOM SEG is valid, names its source frames, and gives the same voxels back in the same place."""

import hashlib
import shutil
import subprocess
import tarfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.sr._concepts_dict import concepts

from tests.builders import a_case, a_prediction, a_series, a_volume, a_written_case
from tests.phantoms import centred_affine, onto, phantom_labels, sagittal_affine
from tests.verdicts import an_accepted_report
from triage.anatomy import LESION, STRUCTURES
from triage.case import Case, Format, SourceFile, Volume
from triage.errors import Code, Refusal
from triage.report.as_dicom_seg import SEG, as_dicom_seg
from triage.verdict import Report

SMALL = (24, 28, 22)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def axial_affine() -> NDArray[np.float64]:
    """Columns run to the left, rows to the back, slices up."""
    affine = np.diag([-2.5, -2.5, 2.5, 1.0])
    affine[:3, 3] = (30, 33, -28)
    return affine


def coronal_affine() -> NDArray[np.float64]:
    """Columns run to the left, rows down, slices to the front."""
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = -2.5, -2.5, 2.5, 1.0
    affine[:3, 3] = (30, -28, 33)
    return affine


def oblique_affine() -> NDArray[np.float64]:
    """The axial acquisition tilted by 20 degrees about the left-right axis, and by 7 about the head-foot axis."""
    return rotation(0, 20) @ rotation(2, 7) @ axial_affine()


def rotation(axis: int, degrees: float) -> NDArray[np.float64]:
    a, b = [n for n in range(3) if n != axis]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = cos, -sin, sin, cos
    return matrix


ACQUISITIONS = {
    "axial": axial_affine(),
    "coronal": coronal_affine(),
    "sagittal": sagittal_affine(SMALL, (2.5, 2.5, 2.5)),
    "oblique": oblique_affine(),
}


def report_on(case: Case, volume: Volume, labels: NDArray[np.uint8] | None = None) -> Report:
    """The phantom as seen from the grid of the volume, or the labels told."""
    prediction = a_prediction(volume=volume)
    if labels is not None:
        prediction = replace(prediction, scanner_labels=labels, scanner_entropy=np.zeros(labels.shape, np.float32))
    return an_accepted_report(case, prediction, volume=volume)


def read_back(path: Path, report: Report) -> NDArray[np.uint8]:
    """The class ids of a SEG put back onto the grid of the volume, frame by frame, by millimetres alone."""
    assert report.volume is not None
    seg = hd.seg.segread(path)
    class_of = {s.name: s.id for s in STRUCTURES}
    ids = np.array([0, *(class_of[item.SegmentLabel] for item in seg.SegmentSequence)], np.uint8)
    found = seg.get_volume(combine_segments=True)
    at = np.argwhere(found.array > 0)
    ras = LPS_TO_RAS @ found.affine @ np.c_[at, np.ones(len(at))].T
    exact = (np.linalg.inv(report.volume.affine) @ ras)[:3].T
    back = np.zeros(report.volume.array.shape, np.uint8)
    back[tuple(np.rint(exact).astype(int).T)] = ids[found.array[tuple(at.T)]]
    assert np.abs(exact - np.rint(exact)).max() < 0.02
    return back


def rewritten(case: Case, change: Callable[[Dataset, int], None]) -> Case:
    """The case with each of its files changed and saved again."""
    files = []
    for n, file in enumerate(case.structural.files):
        dataset = dcmread(file.path)
        change(dataset, n)
        dataset.save_as(file.path)
        files.append(replace(file, sha256=hashlib.sha256(file.path.read_bytes()).hexdigest()))
    return replace(case, structural=replace(case.structural, files=tuple(files)))


def highdicom_volume(paths: list[Path], series_format: Format) -> hd.Volume:
    """A series as highdicom reads it, once its orientations are made equal to the last digit."""
    if series_format is Format.ENHANCED:
        return hd.imread(paths[0]).get_volume()
    slices = [dcmread(path) for path in paths]
    for slice_ in slices:
        slice_.ImageOrientationPatient = slices[0].ImageOrientationPatient
    return hd.get_volume_from_series(slices)


def complaints(path: Path) -> list[str]:
    """Errors of dciodvfy, the validator of dicom3tools."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    run = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
@pytest.mark.parametrize("acquisition", ACQUISITIONS)
def test_a_seg_read_back_has_the_same_voxels_in_the_same_place(
    acquisition: str, enhanced: bool, tmp_path: Path
) -> None:
    volume = a_volume(shape=SMALL, affine=ACQUISITIONS[acquisition])
    report = report_on(a_written_case(tmp_path / "in", enhanced=enhanced, volume=volume), volume)

    as_dicom_seg(report, tmp_path)

    assert report.prediction is not None
    assert np.array_equal(read_back(tmp_path / SEG, report), report.prediction.scanner_labels)
    assert complaints(tmp_path / SEG) == []


@pytest.mark.parametrize(("order", "flip"), zip(permutations(range(3)), (0, 1, 2, 0, 1, 2), strict=True))
def test_a_volume_in_any_axis_order_gives_the_same_seg(order: tuple[int, ...], flip: int, tmp_path: Path) -> None:
    shape = (10, 12, 8)
    volume = a_volume(shape=shape, affine=axial_affine())
    labels = np.random.default_rng(0).integers(0, 12, shape).astype(np.uint8)
    case = a_written_case(tmp_path / "in", volume=volume)
    turned = np.flip(labels.transpose(order), flip)
    permuted = volume.affine[:, [*order, 3]].copy()
    permuted[:3, 3] += permuted[:3, flip] * (turned.shape[flip] - 1)
    permuted[:3, flip] *= -1
    other = Volume(array=np.zeros(turned.shape, np.float32), affine=permuted)

    as_dicom_seg(report_on(case, other, turned), tmp_path)

    assert np.array_equal(read_back(tmp_path / SEG, report_on(case, volume, labels)), labels)


@pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])
def test_every_frame_names_the_source_frame_that_it_lies_on(enhanced: bool, tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=axial_affine())
    case = a_written_case(tmp_path / "in", enhanced=enhanced, volume=volume)
    headers = {h.SOPInstanceUID: h for h in (dcmread(f.path) for f in case.structural.files)}

    as_dicom_seg(report_on(case, volume), tmp_path)

    for frame in dcmread(tmp_path / SEG).PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        header = headers[source.ReferencedSOPInstanceUID]
        if enhanced:
            header = header.PerFrameFunctionalGroupsSequence[source.ReferencedFrameNumber - 1].PlanePositionSequence[0]
        assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, header.ImagePositionPatient, atol=1e-3)


def test_the_seg_belongs_to_the_study_patient_and_frame_of_reference_of_its_source(tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=axial_affine())
    case = a_written_case(tmp_path / "in", volume=volume)
    source = dcmread(case.structural.files[0].path)

    as_dicom_seg(report_on(case, volume), tmp_path)

    seg = dcmread(tmp_path / SEG)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert seg[keyword].value == source[keyword].value
    assert seg.SeriesInstanceUID != source.SeriesInstanceUID


def test_a_seg_of_a_single_structure_is_valid(tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=axial_affine())
    labels = np.where(a_prediction(volume=volume).scanner_labels == LESION, LESION, 0).astype(np.uint8)
    report = report_on(a_written_case(tmp_path / "in", volume=volume), volume, labels)

    as_dicom_seg(report, tmp_path)

    assert labels.any()
    assert [item.SegmentLabel for item in dcmread(tmp_path / SEG).SegmentSequence] == ["Lesion"]
    assert np.array_equal(read_back(tmp_path / SEG, report), labels)
    assert complaints(tmp_path / SEG) == []


def test_the_same_result_is_the_same_instance_and_another_result_is_another(tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=axial_affine())
    case = a_written_case(tmp_path / "in", volume=volume)
    report = report_on(case, volume)
    assert report.prediction is not None
    other = report.prediction.scanner_labels.copy()
    other[other == LESION] = 3

    uids = []
    for result in (report, report, report_on(case, volume, other)):
        as_dicom_seg(result, tmp_path)
        uids.append(dcmread(tmp_path / SEG).SOPInstanceUID)

    assert uids[0] == uids[1] != uids[2]


def test_a_source_that_changed_after_it_was_read_is_refused(tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=axial_affine())
    case = a_written_case(tmp_path / "in", volume=volume)
    last = case.structural.files[-1].path
    last.write_bytes(last.read_bytes()[:-1] + b"\x7f")

    with pytest.raises(Refusal, match="changed after it was read") as refusal:
        as_dicom_seg(report_on(case, volume), tmp_path)

    assert refusal.value.code is Code.CHANGED_WHILE_READING
    assert not (tmp_path / SEG).exists()


@pytest.mark.parametrize("shift_mm", [(1.2, 0.0, 0.0), (0.0, 0.0, 1.2), (0.0, 50.0, 0.0)])
def test_a_volume_that_does_not_lie_on_its_source_is_refused(shift_mm: tuple[float, ...], tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=axial_affine())
    case = a_written_case(tmp_path / "in", volume=volume)
    moved = volume.affine.copy()
    moved[:3, 3] += shift_mm

    with pytest.raises(Refusal, match="does not lie on the grid"):
        as_dicom_seg(report_on(case, Volume(array=volume.array, affine=moved)), tmp_path)


def test_orientations_that_differ_in_the_ninth_digit_and_no_slice_thickness_do_not_stop_a_seg(tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=oblique_affine())
    case = a_written_case(tmp_path / "in", volume=volume)

    def as_a_scanner_would(header: Dataset, n: int) -> None:
        header.ImageOrientationPatient[1] += 1e-8 * (n % 3)
        del header.SliceThickness

    report = report_on(rewritten(case, as_a_scanner_would), volume)
    as_dicom_seg(report, tmp_path)

    assert report.prediction is not None
    assert np.array_equal(read_back(tmp_path / SEG, report), report.prediction.scanner_labels)


def test_an_enhanced_source_may_state_its_geometry_in_every_frame(tmp_path: Path) -> None:
    volume = a_volume(shape=SMALL, affine=oblique_affine())
    case = a_written_case(tmp_path / "in", enhanced=True, volume=volume)

    def into_frames(header: Dataset, _: int) -> None:
        shared = header.SharedFunctionalGroupsSequence[0]
        for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            for frame in header.PerFrameFunctionalGroupsSequence:
                frame[keyword] = shared[keyword]
            del shared[keyword]

    report = report_on(rewritten(case, into_frames), volume)
    as_dicom_seg(report, tmp_path)

    assert report.prediction is not None
    assert np.array_equal(read_back(tmp_path / SEG, report), report.prediction.scanner_labels)


def test_no_warning_or_log_line_quotes_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    volume = a_volume(shape=SMALL, affine=axial_affine())
    case = a_written_case(tmp_path / "in", volume=volume)

    def misname(header: Dataset, _: int) -> None:
        header.PatientName = "CANARYNAME"
        header.StudyID = "CANARY-LONGER-THAN-16-CHARACTERS"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        misnamed = rewritten(case, misname)
    caplog.clear()
    recwarn.clear()
    with caplog.at_level("DEBUG"):
        as_dicom_seg(report_on(misnamed, volume), tmp_path)

    assert dcmread(tmp_path / SEG).PatientName == "CANARYNAME"
    assert "CANARY" not in caplog.text + " ".join(str(w.message) for w in recwarn)


def test_a_nifti_source_gets_no_seg(tmp_path: Path) -> None:
    as_dicom_seg(an_accepted_report(a_case(structural=a_series(format=Format.NIFTI))), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_every_code_is_the_one_that_the_dicom_dictionary_gives_its_meaning() -> None:
    named = {
        (code, meaning.casefold()) for by_code in concepts["SCT"].values() for code, (meaning, _) in by_code.items()
    }
    ours = [(s.code, s.meaning) for s in STRUCTURES] + [region for s in STRUCTURES for region in s.regions]

    assert [pair for pair in ours if (pair[0], pair[1].casefold()) not in named] == []


@pytest.mark.parametrize(
    ("archive", "series_format"),
    [("R06_ge_mprage_ax_oblique", Format.CLASSIC), ("R10_xa30_enhanced_t1", Format.ENHANCED)],
)
def test_a_seg_on_a_real_series_is_valid_and_lies_where_highdicom_reads_the_image(
    archive: str, series_format: Format, shared_data: Path, tmp_path: Path
) -> None:
    with tarfile.open(shared_data / "dicom" / f"{archive}.tar.gz") as tar:
        tar.extractall(tmp_path / "in", filter="data")
    headers = {p: dcmread(p, stop_before_pixels=True, force=True) for p in (tmp_path / "in").rglob("*") if p.is_file()}
    paths = sorted(path for path, header in headers.items() if "Rows" in header)
    image = highdicom_volume(paths, series_format)
    volume = Volume(array=image.array.astype(np.float32), affine=LPS_TO_RAS @ image.affine)
    phantom = phantom_labels()
    fitted = centred_affine(phantom.shape, np.asarray(volume.array.shape) * volume.spacing_mm / phantom.shape)
    fitted[:3, 3] += (volume.affine @ [*((np.asarray(volume.array.shape) - 1) / 2), 1])[:3]
    labels = onto(phantom, fitted, volume.array.shape, volume.affine)
    files = tuple(SourceFile(path=p, sha256=hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths)
    report = report_on(a_case(structural=a_series(format=series_format, files=files)), volume, labels)

    as_dicom_seg(report, tmp_path)

    assert len(np.unique(labels)) > 5
    assert np.array_equal(read_back(tmp_path / SEG, report), labels)
    assert complaints(tmp_path / SEG) == []
