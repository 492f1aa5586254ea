"""The sanity check of saliency maps, on a small network."""

import pytest
import torch

from models.network import SegmentationNet
from pipelines.bench.saliency import STAGES, gradient, randomised, smooth_gradient

SIDE = 64


@pytest.fixture(scope="module")
def net() -> SegmentationNet:
    torch.manual_seed(1)
    return SegmentationNet(3, widths=(4, 4, 4, 4, 4)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def brain() -> torch.Tensor:
    mask = torch.zeros(SIDE, SIDE, SIDE, dtype=torch.bool)
    mask[20:44, 20:44, 20:44] = True
    return mask


def test_the_gradient_is_that_of_finite_differences(net, image, brain):
    precise = SegmentationNet(3, widths=(4, 4, 4, 4, 4)).eval().double().requires_grad_(False)
    precise.load_state_dict(net.state_dict())
    along = torch.randn(image.shape, generator=torch.Generator().manual_seed(2)).double()

    def entropy(step: float) -> float:
        p = torch.softmax(precise((image.double() + step * along)[None, None])[0, :, brain], dim=0)
        return float(-(p * p.log()).sum())

    expected = (entropy(1e-6) - entropy(-1e-6)) / 2e-6

    assert float((gradient(precise, image.double(), brain) * along).sum()) == pytest.approx(expected, rel=1e-3)


def test_randomising_goes_from_the_output_to_the_input_and_ends_with_no_weight_as_it_was(net):
    before = {name: value.clone() for name, value in net.state_dict().items() if name.endswith("conv.weight")}
    changed = []

    for _, other in randomised(net):
        changed.append(sum(not torch.equal(other.state_dict()[name], value) for name, value in before.items()))

    assert changed == sorted(changed)
    assert changed[-1] == len(before)
    assert len(changed) == len(STAGES)
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())


def test_without_noise_smoothgrad_is_the_gradient(net, image, brain, monkeypatch):
    monkeypatch.setattr("pipelines.bench.saliency.NOISE", 0.0)
    monkeypatch.setattr("pipelines.bench.saliency.DRAWS", 1)

    torch.testing.assert_close(smooth_gradient(net, image, brain), gradient(net, image, brain))
