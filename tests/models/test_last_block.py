"""The last block on tiles is the last block on the image."""

import pytest
import torch
from torch import Tensor

from models.last_block import (
    TILE,
    BeforeLastBlock,
    BlockImage,
    draw_tiles,
    features_of_tiles,
    last_weights,
    padded,
    with_last_weights,
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
    fine = [2 * n for n in CELLS]
    return BlockImage(subject="a", inputs=padded(inputs), classes=torch.randint(0, 3, fine, dtype=torch.uint8))


def test_the_trunk_is_what_comes_before_its_last_block_and_then_that_block(net):
    scan = torch.rand(1, 1, 64, 64, 64)

    assert torch.equal(net.trunk(scan), net.trunk.decoder[0](BeforeLastBlock(net.trunk)(scan)))


def test_on_all_tiles_the_features_are_those_of_the_whole_image_at_its_edges_too(net, inputs, image):
    whole = net.trunk.decoder[0](inputs[None])[0]
    marked = BlockImage(subject="a", inputs=image.inputs, classes=_tile_numbers())

    tiles = draw_tiles(marked, 6, torch.Generator().manual_seed(2))
    features = features_of_tiles(net.trunk.decoder[0], tiles)

    for found, classes in zip(features, tiles.classes, strict=True):
        x, y, z = (TILE * int(n) for n in torch.unravel_index(classes[0, 0, 0], GRID))
        torch.testing.assert_close(found, whole[:, x : x + TILE, y : y + TILE, z : z + TILE], rtol=1e-4, atol=1e-4)


def test_no_tile_is_drawn_twice_and_no_more_than_there_are():
    marked = BlockImage(subject="a", inputs=padded(torch.zeros(1, *CELLS)), classes=_tile_numbers())

    some = draw_tiles(marked, 4, torch.Generator().manual_seed(3)).classes[:, 0, 0, 0].tolist()
    every = draw_tiles(marked, 99, torch.Generator().manual_seed(3)).classes[:, 0, 0, 0].tolist()

    assert len(set(some)) == 4
    assert sorted(every) == list(range(6))


def test_another_last_block_changes_the_last_block_and_the_head_and_nothing_else(net):
    torch.manual_seed(4)
    other = SegmentationNet(3, widths=(4, 2, 2, 2, 2)).eval()

    joined = with_last_weights(net.state_dict(), last_weights(other))

    for name, value in joined.items():
        source = other if name.startswith(("trunk.decoder.0.", "head.")) else net
        assert torch.equal(value, source.state_dict()[name])


def test_a_last_block_of_another_width_is_refused(net):
    wider = SegmentationNet(3, widths=(6, 2, 2, 2, 2))

    with pytest.raises(ValueError, match="not the weights of the last block and the head of this network"):
        with_last_weights(net.state_dict(), last_weights(wider))


def _tile_numbers() -> Tensor:
    """(2 I, 2 J, 2 K) uint8: each voxel's tile, counted with the last axis fastest."""
    numbers = torch.arange(6, dtype=torch.uint8).view(GRID)
    for axis in range(3):
        numbers = numbers.repeat_interleave(2 * TILE, dim=axis)
    return numbers
