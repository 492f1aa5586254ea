"""The NIfTI outputs lie on the scanner's grid."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.phantoms import centred_affine, onto
from tests.verdicts import an_accepted_report
from triage.report.as_nifti import CONFLICT, ENTROPY, IMAGE, SEGMENTATION, STEP_NATS, as_nifti
from triage.verdict import Report


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def with_image(array: np.ndarray) -> Report:
    report = an_accepted_report()
    assert report.volume is not None
    return replace(report, volume=replace(report.volume, array=array))


def test_every_map_lies_on_the_scanner_grid_with_its_own_values(tmp_path: Path) -> None:
    report = an_accepted_report()
    volume, prediction = report.volume, report.prediction
    assert volume is not None
    assert prediction is not None

    as_nifti(report, tmp_path)

    assert np.array_equal(values(tmp_path / IMAGE), volume.array)
    assert np.array_equal(values(tmp_path / SEGMENTATION), prediction.scanner_labels)
    assert np.abs(values(tmp_path / ENTROPY) - prediction.scanner_entropy).max() <= STEP_NATS / 2 + 1e-6
    for name in (IMAGE, SEGMENTATION, ENTROPY, CONFLICT):
        image = nib.load(tmp_path / name)
        assert image.shape == volume.array.shape
        assert np.allclose(image.get_sform(), volume.affine)
        assert np.allclose(image.get_qform(), volume.affine, atol=1e-5)
        assert image.header.get_xyzt_units()[0] == "mm"
        assert image.header["descrip"].item().decode() == report.case.pseudonym


@pytest.mark.parametrize(
    ("array", "kept_as"),
    [
        (np.full((8, 8, 8), -1024, np.float32), np.int16),
        (np.full((8, 8, 8), 32768, np.float32), np.float32),
        (np.full((8, 8, 8), 0.1, np.float32), np.float32),
    ],
)
def test_the_image_comes_back_as_it_was_read(array: np.ndarray, kept_as: type, tmp_path: Path) -> None:
    as_nifti(with_image(array), tmp_path)

    assert nib.load(tmp_path / IMAGE).get_data_dtype() == kept_as
    assert np.array_equal(values(tmp_path / IMAGE), array)


def test_the_conflict_is_found_at_the_same_millimetres(tmp_path: Path) -> None:
    report = an_accepted_report()
    assert report.volume is not None
    assert report.prediction is not None
    conflict = report.prediction.conflict

    as_nifti(report, tmp_path)

    expected = onto(conflict, centred_affine(conflict.shape), report.volume.array.shape, report.volume.affine, order=1)
    assert np.abs(values(tmp_path / CONFLICT) - expected).max() <= STEP_NATS / 2 + 1e-6
    assert expected.max() > 100 * STEP_NATS


def test_an_entropy_that_is_no_number_does_not_look_certain(tmp_path: Path) -> None:
    report = an_accepted_report()
    assert report.prediction is not None
    entropy = report.prediction.scanner_entropy.copy()
    entropy[1, 2, 3] = np.nan

    as_nifti(replace(report, prediction=replace(report.prediction, scanner_entropy=entropy)), tmp_path)

    assert values(tmp_path / ENTROPY)[1, 2, 3] > 30
