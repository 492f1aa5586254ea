"""The last block on tiles is the last block on the image."""

import pytest
import torch
from torch import Tensor

from models.last_block import (
    TILE,
    BeforeLastBlock,
    BlockImage,
    LastBlock,
    draw_tiles,
    last_weights,
    named_as_in_network,
    padded,
)
from models.network import SegmentationNet

GRID = (2, 3, 1)
CELLS = tuple(TILE * n for n in GRID)


@pytest.fixture(scope="module")
def net() -> SegmentationNet:
    torch.manual_seed(0)
    net = SegmentationNet(3, widths=(4, 2, 2, 2, 2)).eval().requires_grad_(False)
    for norm in (net.trunk.decoder[0].norm1, net.trunk.decoder[0].norm2):
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    return net


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.randn(8, *CELLS, generator=torch.Generator().manual_seed(1)).half().float()


@pytest.fixture(scope="module")
def image(inputs) -> BlockImage:
    """Its classes are the number of the tile, counted with the last axis fastest."""
    numbers = torch.arange(6, dtype=torch.uint8).view(GRID)
    for axis in range(3):
        numbers = numbers.repeat_interleave(2 * TILE, dim=axis)
    return BlockImage(subject="a", inputs=padded(inputs), classes=numbers)


def test_the_trunk_is_what_comes_before_its_last_block_and_then_that_block(net):
    scan = torch.rand(1, 1, 64, 64, 64)

    assert torch.equal(net.trunk(scan), net.trunk.decoder[0](BeforeLastBlock(net.trunk)(scan)))


def test_on_all_tiles_the_features_are_those_of_the_whole_image_at_its_edges_too(net, inputs, image):
    whole = net.trunk.decoder[0](inputs[None])[0]

    tiles, classes = draw_tiles(image, 6, torch.Generator().manual_seed(2))
    features = LastBlock(net).features(tiles)

    for found, number in zip(features, classes[0, :: 2 * TILE, 0, 0], strict=True):
        x, y, z = (TILE * int(n) for n in torch.unravel_index(number, GRID))
        torch.testing.assert_close(found, whole[:, x : x + TILE, y : y + TILE, z : z + TILE], rtol=1e-4, atol=1e-4)


def test_the_logits_of_a_tile_lie_where_its_classes_do(net, image):
    tiles, classes = draw_tiles(image, 4, torch.Generator().manual_seed(2))
    last = LastBlock(net)

    logits = last(tiles)

    assert logits.shape == (1, 3, *classes.shape[1:])
    cell = net.linear_head @ torch.cat([last.features(tiles)[2, :, 5, 6, 7], torch.ones(1)])
    corner = logits[0, :, 4 * TILE + 10 : 4 * TILE + 12, 12:14, 14:16]
    torch.testing.assert_close(corner.reshape(-1), cell, rtol=1e-4, atol=1e-4)


def test_no_tile_is_drawn_twice_and_no_more_than_there_are(image):
    _, some = draw_tiles(image, 4, torch.Generator().manual_seed(3))
    _, every = draw_tiles(image, 99, torch.Generator().manual_seed(3))

    assert len(some.unique()) == 4
    assert every.unique().tolist() == list(range(6))


def test_the_last_blocks_weights_have_the_names_that_they_have_in_the_network(net):
    named = named_as_in_network(LastBlock(net).state_dict())

    assert named.keys() == last_weights(net).keys()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in named.items())


def test_what_comes_before_the_last_block_does_not_hang_on_its_weights(net):
    torch.manual_seed(4)
    other = SegmentationNet(3, widths=(4, 2, 2, 2, 2)).eval()
    scan = torch.rand(1, 1, 64, 64, 64)
    before = BeforeLastBlock(net.trunk)(scan)

    other.load_state_dict(net.state_dict() | last_weights(other))

    assert torch.equal(BeforeLastBlock(other.trunk)(scan), before)
