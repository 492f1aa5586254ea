"""Hard-concrete gates follow their law, shut what is not needed, and what is shut can be cut out of the network."""

import pytest
import torch
from monai.networks.utils import pixelshuffle
from torch.distributions import RelaxedBernoulli
from torch.utils.flop_counter import FlopCounterMode

from models.cells import Cells
from models.network import SUBVOXELS, SegmentationNet
from models.posteriors.channel_gates import (
    HEAT,
    HIGH,
    LOW,
    GatesPosterior,
    fit,
    gates,
    open_probability,
    remove_channels,
)

N_CLASSES, WIDTH = 3, 6
LOG_ALPHA = torch.tensor([-3.0, -1.0, 0.0, 0.5, 2.0])


def test_before_it_is_clamped_a_gate_is_a_stretched_relaxed_bernoulli():
    n = 100_000
    with torch.random.fork_rng():
        torch.manual_seed(0)
        soft = RelaxedBernoulli(torch.tensor(HEAT), logits=LOG_ALPHA).sample((n,))
    expected = (soft * (HIGH - LOW) + LOW).clamp(0, 1)

    found = gates(LOG_ALPHA, (torch.arange(n) + 0.5)[:, None].double() / n).float()

    levels = torch.tensor([0.01, 0.25, 0.5, 0.75, 0.99])
    for a, b in zip(found.T, expected.T, strict=True):
        share_found, share_expected = ((x[:, None] <= levels).float().mean(dim=0) for x in (a, b))
        torch.testing.assert_close(share_found, share_expected, atol=0.008, rtol=0)


def test_a_gate_is_open_with_the_probability_of_equation_12():
    uniform = (torch.arange(100_000) + 0.5)[:, None].double() / 100_000

    share = (gates(LOG_ALPHA.double(), uniform) > 0).double().mean(dim=0)

    torch.testing.assert_close(open_probability(LOG_ALPHA.double()), share, atol=2e-5, rtol=0)


def test_channels_that_tell_nothing_are_shut_and_those_that_tell_the_class_stay():
    informative = torch.tensor([True, False, True, False])
    images = []
    for number in range(6):
        generator = torch.Generator().manual_seed(number)
        features = torch.randn(5, 400, generator=generator)
        features[-1] = 1
        classes = (features[0] > 0).long() + (features[2] > 0.5).long()
        weight = torch.full((400,), 500.0)
        images.append(
            Cells(subject=str(number), features=features, classes=classes.expand(SUBVOXELS, -1), weight=weight)
        )
    by_class = torch.tensor([-1.5, 0.0, 1.5])[:, None] * informative + 0.05
    head = torch.cat([by_class, torch.zeros(N_CLASSES, 1)], dim=1).repeat_interleave(SUBVOXELS, dim=0)

    posterior = fit(head, images, penalty_nats=200.0)

    assert torch.equal(posterior.kept, informative)


@pytest.fixture(scope="module")
def net() -> SegmentationNet:
    torch.manual_seed(0)
    net = SegmentationNet(N_CLASSES, widths=(WIDTH, 2, 2, 2, 2)).eval().requires_grad_(False)
    net.trunk.decoder[0].norm2.bias.normal_()
    return net


@pytest.fixture(scope="module")
def posterior(net) -> GatesPosterior:
    log_alpha = torch.tensor([9.0, -9.0, 0.0, -9.0, 1.0, 9.0])
    return GatesPosterior(weight=net.linear_head, log_alpha=log_alpha)


def test_the_thinner_network_answers_as_the_gated_one(net, posterior):
    image = torch.rand(1, 1, 64, 64, 64)
    z = torch.tensor([1.0, 0.0, 0.5, 0.0, float(torch.sigmoid(torch.tensor(1.0))) * 1.2 - 0.1, 1.0])
    gated = net.trunk(image) * z.view(-1, 1, 1, 1)
    expected = pixelshuffle(net.head(gated), spatial_dims=3, scale_factor=2)

    found = remove_channels(net, posterior)(image)

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_thinner_network_has_no_weight_and_no_work_left_for_what_was_shut(net, posterior):
    thin = remove_channels(net, posterior)
    image, cells = torch.rand(1, 1, 64, 64, 64), 32**3
    with FlopCounterMode(display=False) as before:
        net(image)
    with FlopCounterMode(display=False) as after:
        thin(image)

    n_removed, outputs = 2, SUBVOXELS * N_CLASSES
    assert _parameters(net) - _parameters(thin) == n_removed * (27 * WIDTH + 2 + outputs)
    saved = before.get_total_flops() - after.get_total_flops()
    assert saved == 2 * cells * n_removed * (27 * WIDTH + outputs)


def test_the_network_that_was_thinned_is_left_as_it_was(net, posterior):
    before = {name: value.clone() for name, value in net.state_dict().items()}

    remove_channels(net, posterior)

    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_as_many_gates_as_features_or_none_at_all():
    with pytest.raises(ValueError, match=r"3 gates do not fit a head \(8, 5\)"):
        GatesPosterior(weight=torch.zeros(8, 5), log_alpha=torch.zeros(3))


def _parameters(net: SegmentationNet) -> int:
    return sum(p.numel() for p in net.parameters())
