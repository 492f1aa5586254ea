"""The NIfTI outputs lie on the scanner's grid."""

from pathlib import Path

import nibabel as nib
import numpy as np

from tests.builders import an_accepted_report
from triage.report.as_nifti import ENTROPY, SEGMENTATION, as_nifti


def test_segmentation_and_entropy_lie_on_the_scanner_grid_with_their_own_values(tmp_path: Path) -> None:
    report = an_accepted_report()
    assert report.volume is not None
    assert report.prediction is not None

    as_nifti(report, tmp_path)

    segmentation, entropy = nib.load(tmp_path / SEGMENTATION), nib.load(tmp_path / ENTROPY)
    assert np.array_equal(np.asarray(segmentation.dataobj), report.prediction.scanner_labels)
    assert np.array_equal(np.asarray(entropy.dataobj), report.prediction.scanner_entropy)
    assert segmentation.get_data_dtype() == np.uint8
    assert entropy.get_data_dtype() == np.float32
    for image in (segmentation, entropy):
        assert np.allclose(image.get_sform(), report.volume.affine)
        assert np.allclose(image.get_qform(), report.volume.affine, atol=1e-5)
        assert image.header.get_xyzt_units()[0] == "mm"
