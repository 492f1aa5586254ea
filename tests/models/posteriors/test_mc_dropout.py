"""Dropout as a distribution over heads: against every mask, against torch's own layer, and where it is fitted."""

import dataclasses
import itertools

import pytest
import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from models.cells import Cells
from models.network import SUBVOXELS, SegmentationNet
from models.posteriors import mode as modes
from models.posteriors.likelihood import Target, by_voxel
from models.posteriors.mc_dropout import DropoutPosterior, fit, naive_mc_dropout, predictive_loss, refit

N_CLASSES, N_FEATURES = 3, 3
HEAD = torch.randn(SUBVOXELS * N_CLASSES, N_FEATURES + 1, generator=torch.Generator().manual_seed(0))
FEATURES = torch.tensor([1.5, -0.7, 2.0])
RATE = 0.3
MASKS = torch.tensor(list(itertools.product((0.0, 1.0), repeat=N_FEATURES)))
CHANCE = torch.where(MASKS > 0, 1 - RATE, RATE).prod(dim=1)


def _images(n_subjects: int, cells: int = 80) -> list[Cells]:
    """Labelled by chance under HEAD."""
    images = []
    for number in range(n_subjects):
        generator = torch.Generator().manual_seed(number)
        features = torch.randn(N_FEATURES + 1, cells, generator=generator)
        features[-1] = 1
        p = torch.softmax((HEAD @ features).view(N_CLASSES, SUBVOXELS, -1), dim=0).permute(1, 2, 0)
        classes = torch.multinomial(p.reshape(-1, N_CLASSES), 1, generator=generator).view(SUBVOXELS, -1)
        images.append(Cells(subject=str(number), features=features, classes=classes, weight=torch.full((cells,), 90.0)))
    return images


def test_mean_and_covariance_of_the_logits_are_those_over_every_mask():
    every = (HEAD[:, :-1] * (MASKS / (1 - RATE))[:, None]) @ FEATURES + HEAD[:, -1]
    mean = CHANCE @ every
    covariance = (every - mean).T @ (CHANCE[:, None] * (every - mean))

    drawn = DropoutPosterior(mean=HEAD, rate=RATE).sample(4096, seed=0) @ torch.cat([FEATURES, torch.ones(1)])

    torch.testing.assert_close(drawn.mean(dim=0), mean, atol=0.01, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), covariance, atol=0.02 * float(covariance.abs().max()), rtol=0)


def test_the_covariance_over_every_mask_is_the_closed_form():
    every = (HEAD[:, :-1] * (MASKS / (1 - RATE))[:, None]) @ FEATURES
    mean = CHANCE @ every

    covariance = (every - mean).T @ (CHANCE[:, None] * (every - mean))

    contribution = HEAD[:, :-1] * FEATURES
    torch.testing.assert_close(covariance, RATE / (1 - RATE) * contribution @ contribution.T)


def test_the_predictive_is_that_of_torchs_dropout_layer_in_a_loop():
    layer = nn.Dropout(RATE).train()
    n = 4000
    with torch.random.fork_rng():
        torch.manual_seed(0)
        looped = torch.stack([HEAD[:, :-1] @ layer(FEATURES) + HEAD[:, -1] for _ in range(n)])

    drawn = DropoutPosterior(mean=HEAD, rate=RATE).sample(n, seed=0) @ torch.cat([FEATURES, torch.ones(1)])

    expected, found = (torch.softmax(x.view(n, N_CLASSES, SUBVOXELS), dim=1) for x in (looped, drawn))
    error = (found.mean(dim=0) - expected.mean(dim=0)).abs()
    assert bool((error <= 4 * expected.std(dim=0) / n**0.5).all())


def test_a_feature_is_dropped_in_all_rows_at_once_and_the_bias_never():
    heads = DropoutPosterior(mean=HEAD, rate=RATE).sample(64, seed=1)

    dropped = heads == 0

    assert torch.equal(dropped[:, :1].expand_as(dropped), dropped)
    assert torch.equal(heads[:, :, -1], HEAD[:, -1].expand(64, -1))


def test_the_refit_is_the_mode_of_the_loss_over_every_mask():
    images, target = _images(2, cells=40), Target(kappa=500.0, precision=5.0)
    chances = list(zip(MASKS, CHANCE, strict=True))
    under_every_mask = [_masked(cells, mask, float(chance)) for cells in images for mask, chance in chances]
    trained = by_voxel(HEAD).double()
    factor = torch.linalg.cholesky(target.hessian(trained, under_every_mask))
    centre = modes.centre_at(HEAD, images, target)
    start = modes.Mode(blocks=trained, centre=centre, factor=factor)
    best = modes.refit(start, under_every_mask, target)

    found = by_voxel(refit(HEAD, images, target, RATE).mean)

    start, end, least = (
        float(target.energy(blocks, centre, under_every_mask)[0].sum()) for blocks in (trained, found, best)
    )
    assert end - least < 0.01 * (start - least)


def test_the_loss_of_a_rate_is_that_of_the_mean_probability_not_the_mean_loss():
    (cells,) = _images(1, cells=5)
    posterior = DropoutPosterior(mean=HEAD, rate=RATE)
    heads = posterior.sample(32, seed=0)
    p = torch.softmax((heads @ cells.features).view(32, N_CLASSES, SUBVOXELS, 5), dim=1).mean(dim=0)

    expected = -90 * sum(torch.log(p[cells.classes[v, i], v, i]) for v in range(SUBVOXELS) for i in range(5))

    assert predictive_loss(posterior, [cells]) == pytest.approx(float(expected), rel=1e-5)


def test_where_every_feature_is_needed_the_smallest_rate_is_chosen():
    posterior = fit(HEAD, _images(8), rates=(0.01, 0.5))

    assert posterior.rate == 0.01


def test_a_rate_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\), got 1"):
        DropoutPosterior(mean=HEAD, rate=1.0)


@pytest.fixture(scope="module")
def net() -> SegmentationNet:
    torch.manual_seed(0)
    return SegmentationNet(3, widths=(4, 4, 4, 4, 4), dropout=0.5).eval().requires_grad_(False)


def test_naive_passes_are_means_of_softmax_that_a_seed_repeats_and_leave_no_dropout_on(net):
    image = torch.rand(64, 64, 64)
    before = net(image[None, None])

    two = naive_mc_dropout(net, image, 2, seed=0)

    assert two.shape == (3, 64, 64, 64)
    torch.testing.assert_close(two.sum(dim=0), torch.ones(64, 64, 64))
    assert torch.equal(naive_mc_dropout(net, image, 2, seed=0), two)
    assert not torch.equal(naive_mc_dropout(net, image, 2, seed=1), two)
    assert torch.equal(net(image[None, None]), before)


def test_a_naive_pass_drops_whole_channels_between_the_convolutions_where_the_trunk_has_dropout(net):
    kept: dict[str, Tensor] = {}
    handles = [
        hook
        for name, block in net.trunk.named_modules()
        if isinstance(block, UnetBasicBlock)
        for hook in _watch(block, name, kept)
    ]

    naive_mc_dropout(net, torch.rand(64, 64, 64), 1, seed=0)

    for handle in handles:
        handle.remove()
    dropped = {"encoder.3", "encoder.4", *(f"decoder.{level}" for level in range(4))}
    assert {name for name, factors in kept.items() if (factors != 1).any()} == dropped
    assert {float(factor) for name in dropped for factor in kept[name]} == {0.0, 2.0}


def _watch(block: UnetBasicBlock, name: str, kept: dict[str, Tensor]) -> list[RemovableHandle]:
    """Puts into `kept` by what each channel is multiplied on its way into the second convolution; one number each."""
    normed: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert not any(module.training for module in block.modules())
        ratio = inputs[0] / functional.leaky_relu(normed[0], 0.01)
        torch.testing.assert_close(ratio, ratio[..., :1, :1, :1].expand_as(ratio))
        kept[name] = ratio[0, :, 0, 0, 0].round(decimals=4)

    return [
        block.norm1.register_forward_hook(lambda _, inputs, out: normed.append(out.clone())),
        block.conv2.conv.register_forward_pre_hook(note),
    ]


def _masked(cells: Cells, mask: Tensor, chance: float) -> Cells:
    """A head with columns dropped sees what the whole head sees on features dropped alike."""
    kept = torch.cat([mask / (1 - RATE), torch.ones(1)])
    return dataclasses.replace(cells, features=cells.features * kept[:, None], weight=cells.weight * chance)
