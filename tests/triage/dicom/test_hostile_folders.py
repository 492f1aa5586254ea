"""Hostile inputs that need more than one broken attribute; the names carry the row of the table of hostile inputs."""

import os
import resource
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless, generate_uid

from tests.dicom_builders import (
    as_bytes,
    classic,
    compress,
    decode_here,
    edit,
    edit_all,
    enhanced,
    inventory,
    only_case,
    only_refusal,
    phantom,
)
from tests.triage.dicom.breaks import (
    SHAPE,
    outcome,
    same_series_under_two_patients,
    second_stack,
    secret_series,
)
from triage.dicom.limits import ReadLimits
from triage.errors import Code, Refusal
from triage.intake import read_volume

TRANSFER_SYNTAXES = {
    "deflated": "1.2.840.10008.1.2.1.99",
    "unknown": "1.2.3.4.5",
    "mpeg4": "1.2.840.10008.1.2.4.102",
    "jpip": "1.2.840.10008.1.2.4.94",
    "big-endian": "1.2.840.10008.1.2.2",
}


@pytest.mark.parametrize("uid", TRANSFER_SYNTAXES.values(), ids=[f"row-21-{name}" for name in TRANSFER_SYNTAXES])
def test_a_transfer_syntax_that_is_not_read_is_refused_before_any_parser_sees_it(uid, tmp_path):
    for path in secret_series(tmp_path):
        path.write_bytes(in_transfer_syntax(path, uid))

    assert only_refusal(tmp_path).code is Code.TS_UNSUPPORTED


def in_transfer_syntax(path: Path, uid: str) -> bytes:
    """The bytes of an explicit little-endian file that claims another transfer syntax."""
    data, old = path.read_bytes(), b"1.2.840.10008.1.2.1\0"
    new = uid.encode() + b"\0" * (len(uid) % 2)
    at = data.index(old)
    return data[: at - 2] + struct.pack("<H", len(new)) + new + data[at + len(old) :]


def test_row_08_a_deflated_bomb_is_refused_without_inflating_it(tmp_path):
    path, *others = secret_series(tmp_path)
    for other in others:
        other.unlink()
    data = in_transfer_syntax(path, TRANSFER_SYNTAXES["deflated"])
    meta_ends = data.index(b"\x08\0\x05\0CS")
    path.write_bytes(data[:meta_ends] + zlib.compress(bytes(300 << 20), 1, -15))
    tracemalloc.start()

    code = only_refusal(tmp_path).code

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code is Code.TS_UNSUPPORTED
    assert peak < 4 << 20


def test_row_05_a_header_that_claims_terabytes_takes_no_memory(tmp_path):
    edit_all(secret_series(tmp_path), Rows=65535, Columns=65535, NumberOfFrames=100000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    refused = only_refusal(tmp_path)

    assert refused.code is Code.HEADER_LIMIT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("frames", [0, -1, 17, None], ids=lambda frames: f"row-07-enhanced-{frames}-frames")
def test_an_enhanced_file_with_the_wrong_number_of_frames_is_refused(frames, tmp_path):
    edit(enhanced(tmp_path), NumberOfFrames=frames)

    assert only_refusal(tmp_path).code is Code.HEADER_INVALID


WIDE = np.diag([-1.6, -1.6, 5.0, 1.0])
"""JPEG 2000 with its usual five resolutions needs an image of at least 32 pixels."""


@pytest.mark.parametrize("uid", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name)
def test_lossless_compression_changes_nothing(uid, tmp_path):
    volume = phantom(WIDE, shape=(60, 64, 18))
    for path in classic(tmp_path / "in", volume=volume):
        compress(path, uid)

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    assert np.array_equal(read.array, volume.array)


@pytest.mark.parametrize(
    ("kept", "code"), [(100, Code.DECODE_FAIL), (400, Code.BAD_VALUES)], ids=["row-10-header", "row-10-body"]
)
def test_a_corrupt_codestream_ends_as_a_refusal_and_the_next_series_is_read(kept, code, tmp_path):
    paths = classic(tmp_path / "bad", volume=phantom(WIDE, shape=(60, 64, 18)))
    compress(paths[8], JPEG2000Lossless)
    (stream,) = pydicom.encaps.generate_frames(pydicom.dcmread(paths[8]).PixelData, number_of_frames=1)
    compress(paths[8], JPEG2000Lossless, stream[:kept] + np.random.default_rng(0).bytes(len(stream) - kept))
    classic(tmp_path / "good")

    with pytest.raises(Refusal) as refusal:
        read_volume(only_case(tmp_path / "bad").structural)

    assert refusal.value.code is code
    assert read_volume(only_case(tmp_path / "good").structural).array.shape == SHAPE


@pytest.mark.parametrize("bits", [16, 12], ids=["row-20-monochrome1-16-bit", "row-20-monochrome1-12-bit"])
def test_monochrome1_is_inverted(bits, tmp_path):
    edit_all(classic(tmp_path / "in"), PhotometricInterpretation="MONOCHROME1", BitsStored=bits, HighBit=bits - 1)

    volume = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    clean = phantom().array
    assert np.array_equal(volume.array, clean.max() + clean.min() - clean)


@pytest.mark.parametrize("end", ["first", "last"], ids=["row-27-first-slice-missing", "row-27-last-slice-missing"])
def test_a_series_that_still_may_hold_a_brain_without_its_end_slices_is_a_case_for_the_quality_signal(end, tmp_path):
    paths = classic(tmp_path, volume=phantom(shape=(20, 22, 20)))
    paths[0 if end == "first" else -1].unlink()

    assert only_case(tmp_path).structural.shape == (20, 22, 19)


@pytest.mark.parametrize("what", ["series", "studies", "patients"], ids=lambda what: f"row-35-two-{what}")
def test_two_of_a_kind_in_one_folder_are_never_merged(what, tmp_path):
    other = {
        "series": {"SeriesNumber": 2},
        "studies": {"StudyID": "2"},
        "patients": {"PatientID": "SECOND"},
    }[what]
    for number, path in enumerate(classic(tmp_path / "in" / "a") + classic(tmp_path / "in" / "b", **other)):
        path.rename(tmp_path / "in" / f"{number:03d}.dcm")

    found = inventory(tmp_path / "in")

    assert [case.structural.shape for case in found.cases] == [SHAPE] * (1 if what == "series" else 2)
    assert sum(len(case.others) for case in found.cases) == (1 if what == "series" else 0)
    assert not found.refused


@pytest.mark.parametrize("where", ["together", "apart"], ids=lambda where: f"row-36-both-refused-{where}")
def test_one_study_under_two_patients_refuses_both(where, tmp_path):
    paths = secret_series(tmp_path / "a")
    same_series_under_two_patients(tmp_path / "a" if where == "together" else _made(tmp_path / "b"), paths)

    found = inventory(tmp_path)

    assert [refused.code for refused in found.refused] == [Code.PATIENT_CONFLICT] * 2
    assert not found.cases


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_row_37_the_magnitude_of_a_t1_is_kept_and_its_phase_is_not(tmp_path):
    paths = classic(tmp_path / "in")
    second_stack(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])(tmp_path / "in", paths)

    case = only_case(tmp_path / "in")

    (phase,) = case.others
    assert phase.code is Code.NOT_T1_VOLUME
    assert np.array_equal(decode_here(case.structural, tmp_path / "out").array, phantom().array)


@pytest.mark.parametrize(
    ("sop_class", "words"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "CT images"),
        ("1.2.840.10008.5.1.4.1.1.128", "PET images"),
        ("1.2.840.10008.5.1.4.1.1.7", "secondary captures"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "segmentations"),
        ("1.2.840.10008.5.1.4.1.1.88.22", "structured reports"),
        ("1.2.840.10008.5.1.4.1.1.66", "raw data"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "encapsulated documents"),
        ("1.3.12.2.1107.5.9.1", "other DICOM objects"),
    ],
    ids=lambda value: f"row-38-{value}" if " " in value else None,
)
def test_other_objects_are_left_alone_and_counted(sop_class, words, tmp_path):
    secret_series(tmp_path)
    lone = tmp_path / "lone.dcm"
    dataset = pydicom.dcmread(tmp_path / "0001.dcm")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    lone.write_bytes(as_bytes(dataset))

    assert only_case(tmp_path).structural.shape == SHAPE
    assert inventory(tmp_path).skipped == {words: 1}


def test_row_41_slope_and_intercept_of_each_slice_are_applied(tmp_path):
    paths = classic(tmp_path / "in")
    for k, path in enumerate(paths):
        edit(path, RescaleSlope=1 + k / 8, RescaleIntercept=-100 * k)

    volume = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    k = np.arange(18)
    assert np.allclose(volume.array, phantom().array * (1 + k / 8) - 100 * k)


def test_row_45_a_dicomdir_is_never_followed(tmp_path):
    secret_series(tmp_path / "outside")
    inside = _made(tmp_path / "in")
    dataset = pydicom.dcmread(tmp_path / "outside" / "0001.dcm")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    dataset.ReferencedFileID = ["..", "outside", "0001.dcm"]
    (inside / "DICOMDIR").write_bytes(as_bytes(dataset))

    found = inventory(inside)

    assert not found.cases
    assert found.skipped == {"DICOM directories": 1}


SPECIAL: dict[str, Callable[[Path], object]] = {
    "row-46-link-to-a-file": lambda path: path.symlink_to("/etc/passwd"),
    "row-46-link-to-a-folder": lambda path: path.symlink_to("/etc"),
    "row-46-link-to-itself": lambda path: path.symlink_to(path),
    "row-46-fifo": os.mkfifo,
}


@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.timeout(20)
def test_what_is_no_regular_file_is_refused_unopened(make, tmp_path):
    secret_series(tmp_path / "in")
    make(tmp_path / "in" / "special.dcm")

    assert outcome(tmp_path / "in", tmp_path / "out") == {"volume", Code.NOT_A_REGULAR_FILE}


@pytest.mark.parametrize("device", ["/dev/zero"], ids=["row-46-device"])
@pytest.mark.timeout(20)
def test_a_device_is_refused(device):
    assert only_refusal(Path(device)).code is Code.NOT_A_REGULAR_FILE


@pytest.mark.parametrize(
    "name", ["a.zip", "a.tar", "a.tar.gz", "a.7z", "no_extension"], ids=lambda name: f"row-47-archive-{name}"
)
def test_an_archive_is_refused_unopened(name, tmp_path):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("../../outside.dcm", b"x" * 100)

    refused = only_refusal(tmp_path)

    assert refused.code is Code.ARCHIVE
    assert "Unpack" in refused.do
    assert not (tmp_path.parent.parent / "outside.dcm").exists()


def test_row_55_a_series_that_grew_is_another_content_of_the_same_case(tmp_path):
    last = classic(tmp_path, volume=phantom(shape=(20, 22, 19)))[-1]
    late = last.read_bytes()
    last.unlink()
    early = only_case(tmp_path)
    last.write_bytes(late)

    grown = only_case(tmp_path)

    assert grown.pseudonym == early.pseudonym
    assert grown.content_sha256 != early.content_sha256


def test_row_55_the_time_of_a_file_does_not_matter(tmp_path):
    for path in classic(tmp_path):
        os.utime(path, (4e9, 4e9))

    assert only_case(tmp_path).structural.shape == SHAPE


def test_row_56_a_file_that_is_replaced_after_the_inventory_is_refused(tmp_path):
    paths = classic(tmp_path)
    case = only_case(tmp_path)
    edit(paths[8], lambda ds: setattr(ds, "PixelData", ds.PixelData[::-1]))

    with pytest.raises(Refusal) as refusal:
        read_volume(case.structural)
    assert refusal.value.code is Code.CHANGED_WHILE_READING


def test_row_63_ten_thousand_junk_files_make_one_entry(tmp_path):
    for number in range(10_000):
        (tmp_path / f"{number}.dcm").write_bytes(b"\x01\x02")

    refused = only_refusal(tmp_path)

    assert (refused.code, refused.n_files) == (Code.NOT_DICOM, 10_000)


def test_row_63_fifty_studies_at_once_are_fifty_cases(tmp_path):
    for number in range(50):
        enhanced(tmp_path / str(number), PatientID=str(number))

    assert len(inventory(tmp_path).cases) == 50


def test_row_63_more_files_than_the_limit_are_an_error_that_says_so(tmp_path):
    classic(tmp_path)

    with pytest.raises(Exception, match="more than 5 files"):
        inventory(tmp_path, ReadLimits(inventory_files=5))
