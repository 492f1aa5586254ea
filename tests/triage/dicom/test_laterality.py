"""Laterality is patient safety: a marker at a known point of the patient must land at that point of the volume.

The marker is put into the file by the standard's own equation (PS3.3 C.7.6.2.1.1), pixel by pixel, not by our affine.
"""

import subprocess
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest

from tests.dicom_builders import AXIAL, CORONAL, SAGITTAL, classic, decode_here, edit, enhanced, only_case, phantom
from triage.case import Volume
from triage.dicom.volume import ras_from_lps

MARKER_LPS = np.array([31.0, -17.0, 23.0])  # left, anterior, superior of the origin
PLANES = {"axial": AXIAL, "sagittal": SAGITTAL, "coronal": CORONAL}
TURNS = {"HFS": 0, "HFP": 180, "HFDR": 90, "HFDL": 270}
VOXEL_MM = 5.0


def lying(affine: np.ndarray, position: str) -> np.ndarray:
    """The scanner's planes over a patient who lies differently: the image axes turn about the patient's long axis."""
    angle = np.radians(TURNS[position])
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return np.rint(turn @ affine)


def points(orientation, spacing, position, rows, columns) -> np.ndarray:
    """(rows, columns, 3) LPS+ mm of every pixel centre; pixel spacing is (between rows, between columns)."""
    along_row, along_column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    j, i = np.meshgrid(range(rows), range(columns), indexing="ij")
    offset = i[..., None] * along_row * float(spacing[1]) + j[..., None] * along_column * float(spacing[0])
    return np.array(position, float) + offset


def mark_classic(paths: list[Path]) -> None:
    for path in paths:
        dataset = pydicom.dcmread(path)
        pixels = dataset.pixel_array.copy()
        places = points(
            dataset.ImageOrientationPatient,
            dataset.PixelSpacing,
            dataset.ImagePositionPatient,
            dataset.Rows,
            dataset.Columns,
        )
        pixels[np.abs(places - MARKER_LPS).max(axis=-1) <= VOXEL_MM / 2] = 4000
        edit(path, PixelData=pixels.tobytes())


def mark_enhanced(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.copy()
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for frame, group in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        places = points(
            shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            shared.PixelMeasuresSequence[0].PixelSpacing,
            group.PlanePositionSequence[0].ImagePositionPatient,
            dataset.Rows,
            dataset.Columns,
        )
        frame[np.abs(places - MARKER_LPS).max(axis=-1) <= VOXEL_MM / 2] = 4000
    edit(path, PixelData=pixels.tobytes())


def marker_ras(volume: Volume) -> np.ndarray:
    index = np.unravel_index(np.argmax(volume.array), volume.array.shape)
    return (volume.affine @ [*index, 1])[:3]


@pytest.mark.parametrize("position", TURNS)
@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_a_marker_on_the_left_is_on_the_left(kind, plane, position, tmp_path):
    volume = phantom(lying(PLANES[plane], position))
    if kind == "classic":
        mark_classic(classic(tmp_path / "in", volume=volume, PatientPosition=position))
    else:
        mark_enhanced(enhanced(tmp_path / "in", volume=volume, PatientPosition=position))

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    assert read.array.max() == 4000
    assert np.abs(marker_ras(read) - MARKER_LPS * [-1, -1, 1]).max() <= VOXEL_MM / 2


def test_mirrored_orientation_moves_the_marker_to_the_other_side(tmp_path):
    paths = classic(tmp_path / "in")
    mark_classic(paths)
    for path in paths:
        dataset = pydicom.dcmread(path)
        x, y, z = dataset.ImagePositionPatient
        edit(path, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0], ImagePositionPatient=[-x, y, z])

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    assert marker_ras(read)[0] > 0


@pytest.mark.parametrize("order", ["forward", "reversed", "shuffled"])
def test_slice_order_on_disk_does_not_matter(order, tmp_path):
    paths = classic(tmp_path / "in")
    mark_classic(paths)
    numbers = {
        "forward": range(18),
        "reversed": range(17, -1, -1),
        "shuffled": np.random.default_rng(0).permutation(18),
    }
    for path, number in zip(paths, numbers[order], strict=True):
        edit(path, InstanceNumber=int(number))
        path.rename(path.with_name(f"{number:02d}_{path.name}"))

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    assert np.abs(marker_ras(read) - MARKER_LPS * [-1, -1, 1]).max() <= VOXEL_MM / 2


@pytest.mark.parametrize("plane", PLANES)
def test_highdicom_gives_the_same_volume(plane, tmp_path):
    paths = classic(tmp_path / "in", volume=phantom(PLANES[plane]))
    oracle = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in paths])

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    assert sampled(oracle.array, ras_from_lps(oracle.affine)) == sampled(read.array, read.affine)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("write", [classic, enhanced])
def test_dcm2niix_gives_the_same_volume(write, plane, tmp_path):
    oracle_program = pytest.importorskip("dcm2niix", reason="dcm2niix is not installed")
    write(tmp_path / "in", volume=phantom(PLANES[plane]))
    (tmp_path / "nii").mkdir()
    subprocess.run(
        [oracle_program.bin, "-f", "x", "-o", str(tmp_path / "nii"), str(tmp_path / "in")],
        check=True,
        capture_output=True,
    )
    oracle = nib.load(next((tmp_path / "nii").glob("*.nii*")))

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    assert sampled(np.asarray(oracle.dataobj), oracle.affine) == sampled(read.array, read.affine)


def sampled(array: np.ndarray, affine: np.ndarray) -> dict[tuple[int, ...], float]:
    """Value by place of the patient, for comparing volumes whose axes differ in order and direction."""
    index = np.indices(array.shape).reshape(3, -1)
    places = np.rint(affine[:3, :3] @ index + affine[:3, 3:]).astype(int).T
    return dict(zip(map(tuple, places.tolist()), array.ravel().tolist(), strict=True))
