"""What must never be accepted, whatever its header says: noise, nothing, a head upside down, the wrong contrast."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.slow

Image = NDArray[np.float32]


def template() -> nib.Nifti1Image:
    return nib.load(str(files("nilearn")) + "/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")


WRONGS: Mapping[str, Callable[[Image], Image]] = {
    "noise": lambda t1: np.random.default_rng(0).rayleigh(100, t1.shape).astype(np.float32),
    "nothing": np.zeros_like,
    "upside_down": lambda t1: t1[:, :, ::-1],
    "inverted_contrast": lambda t1: np.where(t1 > 0, t1.max() + 20 - t1, 0),
    "checkerboard": lambda t1: (100 * (np.indices(t1.shape) // 20).sum(axis=0) % 2 + 1).astype(np.float32),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    place = tmp_path_factory.mktemp("wrong")
    (place / "inbox").mkdir()
    source = template()
    t1 = np.asarray(source.dataobj, np.float32)
    for name, wrong in WRONGS.items():
        nib.save(nib.Nifti1Image(wrong(t1), source.affine), place / "inbox" / f"{name}_T1w.nii.gz")
    command = [sys.executable, "-m", "triage", "run", str(place / "inbox"), "--out", str(place / "out")]
    run = subprocess.run([*command, "--quiet", "--no-tracking"], capture_output=True, text=True, check=False)
    assert run.returncode in (0, 2), run.stdout + run.stderr
    return [json.loads(p.read_text()) for p in sorted((place / "out").glob("bt-*/report.json"))]


def test_every_wrong_input_ends_exactly_once(reports: list[dict[str, object]]) -> None:
    assert len(reports) == len(WRONGS)


def test_none_is_accepted(reports: list[dict[str, object]]) -> None:
    routes = [r["verdict"]["route"] for r in reports]  # type: ignore[index]

    assert "accepted" not in routes
