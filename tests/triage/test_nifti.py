import gzip
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.dicom_builders import LIMITS, PSEUDONYMS, inventory, only_case, only_refusal, phantom
from triage.case import Format, Weighting
from triage.errors import Code, Refusal
from triage.intake import read_volume
from triage.nifti import decode_nifti, read_nifti_header
from triage.nifti_names import is_label_name, weighting_of_name

AFFINE = np.array([[5.0, 0, 0, -50], [0, 5, 0, -55], [0, 0, 5, -45], [0, 0, 0, 1]])


def save(path: Path, array=None, affine=AFFINE, kind=nib.Nifti1Image, **header) -> Path:
    array = phantom().array if array is None else array
    image = kind(array, affine)
    for key, value in header.items():
        image.header[key] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def decoded(path: Path, folder: Path):
    series = read_nifti_header(path, weighting=Weighting.T1, contrast_agent=False, pseudonyms=PSEUDONYMS, limits=LIMITS)
    return decode_nifti(series.files, folder / "out.npy", slices=series.shape[2], limits=LIMITS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.nii", nib.Nifti1Image),
        ("a.nii.gz", nib.Nifti1Image),
        ("a.NII.GZ", nib.Nifti1Image),
        ("a.nii.gz", nib.Nifti2Image),
        ("a.mgz", nib.MGHImage),
        ("a.mgh", nib.MGHImage),
    ],
)
def test_a_file_is_read_as_nibabel_reads_it(name, kind, tmp_path):
    save(tmp_path / name.lower(), kind=kind).rename(tmp_path / name)

    volume = decoded(tmp_path / name, tmp_path)

    assert np.array_equal(volume.array, phantom().array)
    assert np.allclose(volume.affine, AFFINE)


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_a_voxel_keeps_its_place_whatever_the_axes_of_the_file(flip, tmp_path):
    affine = AFFINE @ np.diag([*flip, 1])

    volume = decoded(save(tmp_path / "a.nii", affine=affine), tmp_path)

    assert np.allclose(volume.affine, affine)


def test_slope_and_intercept_are_applied(tmp_path):
    array = phantom().array.astype(np.int16)
    image = nib.Nifti1Image(array, AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii")

    # with a slope given, nibabel writes the integers as they are
    assert np.allclose(decoded(tmp_path / "a.nii", tmp_path).array, 0.5 * array - 3)


def test_a_big_endian_file_is_read(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    nib.save(nib.Nifti1Image(phantom().array, AFFINE, header), tmp_path / "a.nii")

    assert np.array_equal(decoded(tmp_path / "a.nii", tmp_path).array, phantom().array)


def test_a_fourth_axis_of_one_is_dropped(tmp_path):
    volume = decoded(save(tmp_path / "a.nii", phantom().array[..., None]), tmp_path)

    assert volume.array.shape == (20, 22, 18)


def without_orientation(path: Path) -> None:
    image = nib.Nifti1Image(phantom().array, None)
    image.header["pixdim"][1:4] = 5
    nib.save(image, path)


def mirrored_forms(path: Path) -> None:
    image = nib.Nifti1Image(phantom().array, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE @ np.diag([-1, 1, 1, 1]), 1)
    nib.save(image, path)


def sheared(path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 1] = 1
    save(path, affine=affine)


def in_metres(path: Path) -> None:
    image = nib.Nifti1Image(phantom().array, AFFINE)
    image.header.set_xyzt_units("meter")
    nib.save(image, path)


REFUSED = {
    "empty": (lambda p: p.write_bytes(b""), Code.NIFTI_INVALID),
    "random": (lambda p: p.write_bytes(os.urandom(5000)), Code.NIFTI_INVALID),
    "header only half there": (lambda p: [save(p), p.write_bytes(p.read_bytes()[:200])], Code.NIFTI_INVALID),
    "damaged gzip": (lambda p: p.write_bytes(b"\x1f\x8b" + bytes(100)), Code.NIFTI_INVALID),
    "no orientation": (without_orientation, Code.NIFTI_INVALID),
    "orientations that mirror each other": (mirrored_forms, Code.NIFTI_INVALID),
    "metres": (in_metres, Code.NIFTI_INVALID),
    "sheared": (sheared, Code.SHEAR),
    "spacing of 1e-6": (lambda p: save(p, affine=np.diag([1e-6, 5, 5, 1])), Code.NIFTI_INVALID),
    "time series": (lambda p: save(p, np.stack([phantom().array] * 3, -1)), Code.NOT_T1_VOLUME),
    "complex": (lambda p: save(p, phantom().array.astype(np.complex64)), Code.NOT_T1_VOLUME),
    "colour": (
        lambda p: save(p, np.zeros((20, 22, 18), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])),
        Code.NOT_T1_VOLUME,
    ),
    "too small": (lambda p: save(p, affine=np.diag([1.0, 1, 1, 1])), Code.COVERAGE),
}


@pytest.mark.parametrize(("make", "code"), REFUSED.values(), ids=REFUSED)
def test_a_file_with_one_thing_wrong_is_refused_with_its_code(make, code, tmp_path):
    make(tmp_path / "secret_name.nii")

    refused = only_refusal(tmp_path)

    assert refused.code is code
    assert "secret_name" not in refused.message


BAD_VOXELS = {
    "nan": (np.where(np.arange(7920).reshape(20, 22, 18) == 77, np.nan, phantom().array), Code.BAD_VALUES),
    "infinite": (np.where(np.arange(7920).reshape(20, 22, 18) == 77, np.inf, phantom().array), Code.BAD_VALUES),
    "1e38": (phantom().array * np.float32(1e35), Code.BAD_VALUES),
    "constant": (np.full((20, 22, 18), 3.0, np.float32), Code.BAD_VALUES),
    "label map": ((phantom().array // 60).astype(np.int16), Code.BAD_VALUES),
}


@pytest.mark.parametrize(("array", "code"), BAD_VOXELS.values(), ids=BAD_VOXELS)
def test_voxels_that_are_no_image_are_refused(array, code, tmp_path):
    with pytest.raises(Refusal) as refusal:
        decoded(save(tmp_path / "a.nii", array.astype(array.dtype)), tmp_path)
    assert refusal.value.code is code


def test_a_file_cut_in_its_voxels_is_refused(tmp_path):
    path = save(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(Refusal) as refusal:
        decoded(path, tmp_path)
    assert refusal.value.code is Code.TRUNCATED


def test_a_gzip_bomb_is_read_no_further_than_its_header_says(tmp_path):
    raw = save(tmp_path / "a.nii").read_bytes()
    bomb = tmp_path / "bomb.nii.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(raw)
        for _ in range(200):
            file.write(bytes(1 << 20))

    assert decoded(bomb, tmp_path).array.shape == (20, 22, 18)


def test_a_header_that_claims_more_than_a_brain_is_refused_without_memory(tmp_path):
    path = save(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    data[42:48] = np.array([32767, 32767, 32767], "<i2").tobytes()
    path.write_bytes(data)

    assert only_refusal(tmp_path).code is Code.HEADER_LIMIT


def test_reading_in_the_confined_process_gives_the_same(tmp_path):
    save(tmp_path / "sub_T1w.nii.gz")
    series = only_case(tmp_path).structural

    assert series.format is Format.NIFTI
    assert np.array_equal(read_volume(series).array, phantom().array)


@pytest.mark.parametrize(
    ("name", "weighting"),
    [
        ("sub-1_T1w.nii.gz", Weighting.T1),
        ("ixi_013_t1.nii.gz", Weighting.T1),
        ("x_mprage.nii", Weighting.T1),
        ("x_FLAIR.nii.gz", Weighting.FLAIR),
        ("x_T2w.nii.gz", Weighting.T2),
        ("x_T2map.nii.gz", Weighting.UNKNOWN),
        ("scan.nii", Weighting.UNKNOWN),
    ],
)
def test_the_name_claims_the_weighting(name, weighting):
    assert weighting_of_name(Path(name)) is weighting


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("a_dseg.nii.gz", True),
        ("a_brainmask.nii.gz", True),
        ("ixi_1_label2.nii.gz", True),
        ("lesion-labels.nii", True),
        ("roi.nii.gz", True),
        ("aparc+aseg.mgz", True),
        ("a_T1w.nii.gz", False),
        ("segovia_T1w.nii.gz", False),
        ("androids.nii", False),
    ],
)
def test_label_maps_are_known_by_their_names(name, label):
    assert is_label_name(Path(name)) is label


def test_a_label_map_is_known_by_its_intent(tmp_path):
    save(tmp_path / "a.nii", intent_code=1002)

    assert inventory(tmp_path).skipped == {"label maps and masks": 1}
