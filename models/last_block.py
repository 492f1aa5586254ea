"""The last decoder block and the head by themselves, fitted on inputs that were computed once an image.

A whole trunk takes a GPU; its last block and the head, 40 % of a pass, can be fitted on one CPU core in minutes. A step
sees some tiles drawn evenly from one image, and norm statistics are taken over all of them, so that they estimate those
of the whole image, which a patch of the middle of a brain would not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock
from torch import Tensor, nn
from torch.nn import functional

from models.network import SegmentationNet, Trunk

TILE = 16
"""Cells along the side of a tile; every image that the network takes is a whole number of them."""
HALO = 2
"""Cells around a tile that two 3x3x3 convolutions see."""
LAST = ("trunk.decoder.0.", "head.")
"""Names of the weights of the last block and the head start with these."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockImage:
    """One image as the last block meets it. subject: whose label map it was drawn from.

    inputs: (I + 2 HALO, J + 2 HALO, K + 2 HALO, 64) float16, zeros around. classes: (2 I, 2 J, 2 K) uint8.
    """

    subject: str
    inputs: Tensor
    classes: Tensor

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of tiles along each axis."""
        i, j, k = ((n - 2 * HALO) // TILE for n in self.inputs.shape[:3])
        return i, j, k


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tiles:
    """n tiles of one image, T = TILE. inputs: (n, 64, T + 4, T + 4, T + 4). classes: (n, 2 T, 2 T, 2 T) int64.

    inside: (n, 1, T + 2, T + 2, T + 2) float32, 1 in the image and 0 beyond its edge.
    """

    inputs: Tensor
    classes: Tensor
    inside: Tensor


class BeforeLastBlock(nn.Module):
    """The trunk without its last block, as a module of its own that a runtime can compile."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, image: Tensor) -> Tensor:
        return self.trunk.before_last_block(image)


def padded(inputs: Tensor) -> Tensor:
    """(64, I, J, K) to the layout of `BlockImage.inputs`, channels last so that a tile is read in long rows."""
    return functional.pad(inputs.half(), (HALO,) * 6).permute(1, 2, 3, 0).contiguous()


def draw_tiles(image: BlockImage, n: int, generator: torch.Generator) -> Tiles:
    """n different tiles, each as likely as any other; all of them when there are no more than n."""
    grid = image.grid
    picked = torch.randperm(grid[0] * grid[1] * grid[2], generator=generator)[:n]
    corners = torch.stack(torch.unravel_index(picked, grid), dim=1) * TILE
    inputs, classes, inside = [], [], []
    edge = functional.pad(torch.ones([side * TILE for side in grid]), (1,) * 6)
    for x, y, z in corners.tolist():
        wide, conv = TILE + 2 * HALO, TILE + HALO
        inputs.append(image.inputs[x : x + wide, y : y + wide, z : z + wide].permute(3, 0, 1, 2))
        inside.append(edge[None, x : x + conv, y : y + conv, z : z + conv])
        fine = [slice(2 * corner, 2 * (corner + TILE)) for corner in (x, y, z)]
        classes.append(image.classes[fine[0], fine[1], fine[2]])
    return Tiles(inputs=torch.stack(inputs).float(), classes=torch.stack(classes).long(), inside=torch.stack(inside))


def features_of_tiles(block: UnetBasicBlock, tiles: Tiles) -> Tensor:
    """(n, F, T, T, T) features. On all the tiles of an image they are those of the whole image."""
    x = functional.conv3d(tiles.inputs, block.conv1.conv.weight)
    x = block.lrelu(_normed(x, x[..., 1:-1, 1:-1, 1:-1], block.norm1)) * tiles.inside
    x = functional.conv3d(x, block.conv2.conv.weight)
    features: Tensor = block.lrelu(_normed(x, x, block.norm2))
    return features


def last_weights(net: SegmentationNet) -> dict[str, Tensor]:
    """The weights of the last block and the head by their names in the network."""
    return {name: value.detach().clone() for name, value in net.state_dict().items() if name.startswith(LAST)}


def with_last_weights(weights: Mapping[str, Tensor], last: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's weights with another last block and head. Raises ValueError when names or shapes do not fit."""
    wanted = {name: value.shape for name, value in weights.items() if name.startswith(LAST)}
    if wanted != {name: value.shape for name, value in last.items()}:
        raise ValueError("These are not the weights of the last block and the head of this network.")
    return {**weights, **last}


def _normed(x: Tensor, counted: Tensor, norm: nn.InstanceNorm3d) -> Tensor:
    """x normalised with the statistics of `counted` over all tiles at once."""
    variance, mean = torch.var_mean(counted, dim=(0, 2, 3, 4), correction=0)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    return x * scale.view(-1, 1, 1, 1) + (norm.bias - mean * scale).view(-1, 1, 1, 1)
