"""OpenVINO gives what torch gives, with the shipped weights on a real anatomy."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from models.bundle import SUMS, Bundle, load_bundle
from models.network import SUBVOXELS, Trunk
from models.predictive import augment
from models.runtime import RUNNERS, Runner, make_runner, torch_runner

SHAPE = (96, 128, 96)


@pytest.fixture(scope="module")
def shipped(repository) -> Bundle:
    folder = repository / "models" / "shipped"
    if not (folder / SUMS).is_file():
        pytest.skip(f"models/shipped is not a sealed bundle: it has no {SUMS}")
    return load_bundle(folder)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """The middle of the ICBM 2009a T1 template, scaled to about [0, 1]."""
    path = Path(str(files("nilearn"))) / "datasets" / "data" / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    array = np.asarray(nib.load(path).dataobj, np.float32)
    start = [(full - side) // 2 for full, side in zip(array.shape, SHAPE, strict=True)]
    middle = array[tuple(slice(a, a + side) for a, side in zip(start, SHAPE, strict=True))]
    return torch.from_numpy(middle / np.percentile(middle, 99.5)).clamp(0, 1.5)


@pytest.fixture(scope="module")
def logits(shipped, image) -> dict[str, torch.Tensor]:
    """Name of the runner -> (C, 8, N)."""
    features = {name: RUNNERS[name](shipped.trunk)(image) for name in ("torch", "openvino")}
    head = shipped.posterior.mean
    return {name: (head @ augment(f)).view(-1, SUBVOXELS, f[0].numel()) for name, f in features.items()}


def test_logits_agree_within_a_hundredth(logits):
    assert float((logits["openvino"] - logits["torch"]).abs().max()) < 1e-2


def test_probabilities_agree_within_two_thousandths(logits):
    openvino, reference = (torch.softmax(logits[name], dim=0) for name in ("openvino", "torch"))

    assert float((openvino - reference).abs().max()) < 2e-3


def test_all_but_one_label_in_ten_thousand_agree(logits):
    same = logits["openvino"].argmax(dim=0) == logits["torch"].argmax(dim=0)

    assert float(same.float().mean()) >= 0.9999


@pytest.fixture(scope="module")
def small_trunk() -> Trunk:
    torch.manual_seed(0)
    return Trunk(widths=(2, 2, 2, 2, 2)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def openvino(small_trunk) -> Runner:
    return RUNNERS["openvino"](small_trunk)


@pytest.mark.parametrize("shape", [(64, 64, 64), (96, 64, 128)])
def test_one_compiled_model_takes_every_size(small_trunk, openvino, shape):
    image = torch.rand(shape)

    features = openvino(image)

    assert features.shape == (2, *(n // 2 for n in shape))
    torch.testing.assert_close(features, RUNNERS["torch"](small_trunk)(image), atol=1e-3, rtol=1e-3)


def test_features_stay_as_they_are_when_the_next_image_comes(openvino):
    first = openvino(torch.rand(64, 64, 64))
    kept = first.clone()

    openvino(torch.rand(64, 64, 64))

    assert torch.equal(first, kept)


@pytest.mark.parametrize("device", RUNNERS)
def test_a_size_that_cannot_be_halved_is_refused_with_what_to_do_before_any_runner_sees_it(
    small_trunk, monkeypatch, device
):
    monkeypatch.setitem(RUNNERS, device, torch_runner)
    _, run = make_runner(small_trunk, device)

    with pytest.raises(ValueError, match=r"64x64x70; every side must be a multiple of 32 .* Pad it with zeros"):
        run(torch.zeros(64, 64, 70))


def test_without_a_gpu_auto_is_openvino(small_trunk, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(RUNNERS, "openvino", torch_runner)

    name, _ = make_runner(small_trunk)

    assert name == "openvino"


def test_openvino_runs_without_its_telemetry():
    code = (
        "import sys; from models.network import Trunk; from models.runtime import openvino_runner;"
        "openvino_runner(Trunk().eval());"
        "from openvino.tools.ovc import convert_impl, telemetry_utils;"
        "names = {convert_impl.tm.__name__, telemetry_utils.tm.__name__};"
        "sys.exit(names != {'openvino.tools.ovc.telemetry_stub'})"
    )

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
