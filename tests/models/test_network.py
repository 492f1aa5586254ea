"""The network answers every voxel at its own place, and says which sizes it takes."""

import itertools

import pytest
import torch
from monai.networks.utils import pixelshuffle, pixelunshuffle

from models.network import SMALLEST_SIDE, SUBVOXELS, SegmentationNet

OFFSETS = tuple(itertools.product((0, 1), repeat=3))


@pytest.fixture(scope="module")
def net() -> SegmentationNet:
    torch.manual_seed(0)
    return SegmentationNet(3, widths=(2, 2, 2, 2, 2)).eval().requires_grad_(False)


def test_every_voxel_of_the_image_has_logits_of_every_class(net):
    logits = net(torch.rand(2, 1, 64, 96, 64))

    assert logits.shape == (2, 3, 64, 96, 64)


def test_the_network_as_shipped_has_5_7_million_parameters():
    count = sum(p.numel() for p in SegmentationNet(12).parameters())

    assert round(count / 1e6, 1) == 5.7


@pytest.mark.parametrize("shape", [(64, 64, 65), (64, 80, 64), (32, 64, 64)])
def test_a_size_that_cannot_be_halved_five_times_is_refused_with_what_to_do(net, shape):
    sides = "x".join(map(str, shape))

    with pytest.raises(ValueError, match=rf"{sides}; every side must be a multiple of 32 and at least 64\. Pad"):
        net(torch.zeros(1, 1, *shape))


def test_space_to_depth_puts_voxel_2i_plus_offset_in_the_offsets_own_channel():
    image = torch.rand(1, 1, 4, 6, 2)

    cells = pixelunshuffle(image, spatial_dims=3, scale_factor=2)

    for (i, j, k), (channel, (a, b, c)) in itertools.product(
        itertools.product(range(2), range(3), range(1)), enumerate(OFFSETS)
    ):
        assert cells[0, channel, i, j, k] == image[0, 0, 2 * i + a, 2 * j + b, 2 * k + c]


def test_depth_to_space_reads_the_channels_class_by_class_and_offset_by_offset():
    cells = torch.rand(1, 3 * SUBVOXELS, 2, 3, 1)

    image = pixelshuffle(cells, spatial_dims=3, scale_factor=2)

    for (label, i, j, k), (offset, (a, b, c)) in itertools.product(
        itertools.product(range(3), range(2), range(3), range(1)), enumerate(OFFSETS)
    ):
        assert image[0, label, 2 * i + a, 2 * j + b, 2 * k + c] == cells[0, label * SUBVOXELS + offset, i, j, k]


@pytest.mark.parametrize("voxel", [(0, 0, 0), (7, 4, 2), (3, 5, 7), (6, 6, 1)])
def test_a_bright_voxel_goes_through_space_to_depth_and_back_to_its_own_place(voxel):
    impulse = torch.zeros(1, 1, 8, 8, 8)
    impulse[0, 0][voxel] = 1

    back = pixelshuffle(pixelunshuffle(impulse, spatial_dims=3, scale_factor=2), spatial_dims=3, scale_factor=2)

    assert torch.equal(back, impulse)


def test_the_linear_head_on_the_trunks_features_is_the_network(net):
    image = torch.rand(1, 1, SMALLEST_SIDE, SMALLEST_SIDE, SMALLEST_SIDE)

    features = net.trunk(image)[0]
    ones = torch.ones(1, *features.shape[1:])
    cells = torch.einsum("of,fxyz->oxyz", net.linear_head, torch.cat([features, ones]))

    torch.testing.assert_close(pixelshuffle(cells[None], spatial_dims=3, scale_factor=2), net(image))
