"""A correction is taken when it is a label volume of this case, and for no other reason."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from triage.report.as_nifti import SEGMENTATION
from triage.review.errors import Incomplete
from triage.web.label_volume import check_correction

CASE = "bt-flagged2aa"
AFFINE = np.array([[0, 0, -2.0, 30.1], [-1.1, 0, 0, 20.7], [0, -1, 0, -9.3], [0, 0, 0, 1]])
LABELS = np.arange(6 * 7 * 8, dtype=np.uint8).reshape(6, 7, 8) % 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    nib.save(nib.Nifti1Image(np.zeros((6, 7, 8), np.uint8), AFFINE), tmp_path / SEGMENTATION)
    return tmp_path


def volume(labels: np.ndarray = LABELS, affine: np.ndarray = AFFINE, *, described: str = "") -> bytes:
    image = nib.Nifti1Image(labels, affine)
    image.header["descrip"] = described
    return image.to_bytes()


def complaint(folder: Path, data: bytes, name: str = "painted.nii") -> str:
    with pytest.raises(Incomplete) as refused:
        check_correction(data, name=name, folder=folder, pseudonym=CASE)
    return str(refused.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("packed", [False, True])
def test_labels_are_taken_in_whatever_type_an_editor_writes_them(dtype: type, packed: bool, folder: Path) -> None:
    data = volume(LABELS.astype(dtype), described=CASE)

    checked = check_correction(
        gzip.compress(data) if packed else data, name=f"{CASE}_edited.nii.gz", folder=folder, pseudonym=CASE
    )

    assert np.array_equal(checked.labels, LABELS)
    assert checked.labels.dtype == np.uint8
    assert checked.changed_voxels == np.count_nonzero(LABELS)
    assert checked.changed_ml == pytest.approx(np.count_nonzero(LABELS) * 2.0 * 1.1 * 1.0 / 1000)


def test_a_volume_of_another_case_is_refused_by_its_name_and_by_what_it_says(folder: Path) -> None:
    assert "another case" in complaint(folder, volume(), name="bt-another22a.nii")
    assert "another case" in complaint(folder, volume(described="bt-another22a"))


@pytest.mark.parametrize(
    ("labels", "affine"),
    [
        (LABELS[:-1], AFFINE),
        (LABELS, AFFINE + np.array([[0, 0, 0, 0.02], [0] * 4, [0] * 4, [0] * 4])),
        (LABELS, AFFINE @ np.diag([-1, 1, 1, 1])),
        (LABELS.transpose(1, 0, 2), AFFINE),
        (LABELS[..., None], AFFINE),
    ],
    ids=["smaller", "shifted", "mirrored", "turned", "with a fourth axis"],
)
def test_a_volume_on_another_grid_is_refused(labels: np.ndarray, affine: np.ndarray, folder: Path) -> None:
    assert "grid" in complaint(folder, volume(labels, affine))


@pytest.mark.parametrize("value", [12, 0.5, -1, np.nan, np.inf])
def test_a_value_that_names_no_structure_is_refused(value: float, folder: Path) -> None:
    labels = LABELS.astype(np.float32)
    labels[3, 3, 3] = value

    assert "name no structure" in complaint(folder, volume(labels))


@pytest.mark.parametrize("kind", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_voxels_that_are_no_numbers_are_refused(kind: np.dtype, folder: Path) -> None:
    assert "name no structure" in complaint(folder, volume(np.zeros((6, 7, 8), kind)))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a zip", b"\x1f\x8b broken", bytes(400), volume()[:200]])
def test_what_is_no_nifti_is_refused(data: bytes, folder: Path) -> None:
    assert "no NIfTI" in complaint(folder, data)


def test_a_volume_that_ends_too_early_is_refused(folder: Path) -> None:
    assert "ends before its voxels" in complaint(folder, volume()[:-10])


def test_a_volume_that_inflates_without_end_is_read_no_further_than_the_case_is_large(folder: Path) -> None:
    bomb = gzip.compress(volume() + bytes(50 << 20), compresslevel=9)

    checked = check_correction(bomb, name="bomb.nii.gz", folder=folder, pseudonym=CASE)

    assert checked.labels.shape == LABELS.shape


def test_the_model_s_own_segmentation_is_no_correction(folder: Path) -> None:
    assert "the model's own" in complaint(folder, volume(np.zeros((6, 7, 8), np.uint8)))
