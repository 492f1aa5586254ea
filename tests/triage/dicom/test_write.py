import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from tests.dicom_builders import AXIAL, FLAIR, SAGITTAL, classic, decode_here, enhanced, only_case, phantom
from triage.case import Format, Volume, Weighting
from triage.dicom.write import decimal


@pytest.mark.parametrize("write", [classic, enhanced])
def test_what_is_written_is_read_back(write, tmp_path):
    volume = phantom(SAGITTAL)
    write(tmp_path / "in", volume=volume)

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    assert np.array_equal(read.array, volume.array)
    assert np.allclose(read.affine, volume.affine, atol=1e-6)


def test_values_that_are_no_whole_numbers_are_kept_to_half_a_step_of_the_full_scale(tmp_path):
    array = np.random.default_rng(1).normal(-3, 2, (20, 22, 18)).astype(np.float32)
    classic(tmp_path / "in", volume=Volume(array=array, affine=AXIAL))

    read = decode_here(only_case(tmp_path / "in").structural, tmp_path / "out")

    step = (array.max() - array.min()) / 65535
    assert np.abs(read.array - array).max() <= 0.51 * step


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
@pytest.mark.parametrize("tags", [{}, FLAIR, {"PatientAge": "071Y", "MagneticFieldStrength": 1.5}])
@pytest.mark.parametrize("write", [classic, enhanced])
def test_an_independent_validator_finds_no_error(write, tags, tmp_path):
    write(tmp_path, **tags)

    report = subprocess.run(["dciodvfy", next(tmp_path.iterdir())], capture_output=True, text=True, check=False)

    assert [line for line in report.stderr.splitlines() if line.startswith("Error")] == []


def test_tags_replace_defaults_and_none_leaves_one_out(tmp_path):
    path, *_ = classic(tmp_path, PatientID="X1", InversionTime=None)

    dataset = pydicom.dcmread(path)

    assert dataset.PatientID == "X1"
    assert "InversionTime" not in dataset


def test_times_of_an_enhanced_series_go_to_its_functional_groups(tmp_path):
    dataset = pydicom.dcmread(enhanced(tmp_path, **FLAIR))
    shared = dataset.SharedFunctionalGroupsSequence[0]

    assert "EchoTime" not in dataset
    assert shared.MREchoSequence[0].EffectiveEchoTime == 120
    assert only_case(tmp_path).structural.weighting is Weighting.FLAIR
    assert only_case(tmp_path).structural.format is Format.ENHANCED


def test_the_same_volume_gets_the_same_uids_and_another_volume_others(tmp_path):
    first, again, other = (
        pydicom.dcmread(classic(tmp_path / name, volume=phantom(seed=seed))[0])
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )

    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert first.StudyInstanceUID == other.StudyInstanceUID
    assert first.SeriesInstanceUID != other.SeriesInstanceUID


def test_a_sheared_volume_cannot_be_written(tmp_path):
    sheared = AXIAL.copy()
    sheared[0, 1] = 2.0

    with pytest.raises(ValueError, match="sheared"):
        classic(tmp_path, volume=Volume(array=phantom().array, affine=sheared))


@pytest.mark.parametrize("value", [0.1 + 0.2, -1.23456789012345e-13, 1e300, 123456789.123456789, -0.0001220703125])
def test_a_decimal_string_has_at_most_16_characters_and_keeps_the_value(value):
    assert len(decimal(value)) <= 16
    assert float(decimal(value)) == pytest.approx(value, rel=1e-9)
