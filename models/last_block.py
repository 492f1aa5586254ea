"""The last decoder block and the head by themselves, fitted on inputs that were computed once an image.

A whole trunk takes a GPU; its last block and the head, 40 % of a pass, can be fitted on one CPU core in minutes. A step
sees some tiles drawn evenly from one image, and norm statistics are taken over all of them, so that they estimate those
of the whole image, which a patch of the middle of a brain would not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from monai.networks.utils import pixelshuffle
from torch import Tensor, nn
from torch.nn import functional

from models.network import SegmentationNet, Trunk

TILE = 16
"""Cells along the side of a tile; every image that the network takes is a whole number of them."""
HALO = 2
"""Cells around a tile that two 3x3x3 convolutions see."""
EPS = 1e-5
"""Of the instance norms."""
BLOCK, HEAD = "trunk.decoder.0.", "head."
"""Names of the weights of the last block and of the head start with these."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockImage:
    """One image as the last block meets it. subject: whose label map it was drawn from.

    inputs: (I + 2 HALO, J + 2 HALO, K + 2 HALO, 65) float16; the last channel is 1 in the image, all are 0 around it.
    classes: (2 I, 2 J, 2 K) uint8.
    """

    subject: str
    inputs: Tensor
    classes: Tensor

    @property
    def grid(self) -> tuple[int, int, int]:
        """Number of tiles along each axis."""
        i, j, k = ((n - 2 * HALO) // TILE for n in self.inputs.shape[:3])
        return i, j, k


class BeforeLastBlock(nn.Module):
    """The trunk without its last block, as a module of its own that a runtime can compile."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, image: Tensor) -> Tensor:
        return self.trunk.before_last_block(image)


class LastBlock(nn.Module):
    """The last block and the head of a network, whose weights it shares, on tiles of one image."""

    def __init__(self, net: SegmentationNet) -> None:
        super().__init__()
        self.block = net.trunk.decoder[0]
        self.head = net.head

    def forward(self, tiles: Tensor) -> Tensor:
        """`draw_tiles` to logits of its classes, (1, C, 2 T n, 2 T, 2 T)."""
        logits = pixelshuffle(self.head(self.features(tiles)), spatial_dims=3, scale_factor=2)
        return torch.cat(logits.split(1), dim=2)

    def features(self, tiles: Tensor) -> Tensor:
        """(n, F, T, T, T). On all the tiles of an image they are those of the whole image."""
        x = functional.conv3d(tiles[:, :-1], self.block.get_parameter("conv1.conv.weight"))
        x = self._rectified(x, x[..., 1:-1, 1:-1, 1:-1], "norm1") * tiles[:, -1:, 1:-1, 1:-1, 1:-1]
        x = functional.conv3d(x, self.block.get_parameter("conv2.conv.weight"))
        return self._rectified(x, x, "norm2")

    def _rectified(self, x: Tensor, counted: Tensor, norm: str) -> Tensor:
        """x normalised with the statistics of `counted` over all tiles at once, then rectified."""
        variance, mean = torch.var_mean(counted, dim=(0, 2, 3, 4), correction=0)
        scale = self.block.get_parameter(f"{norm}.weight") * torch.rsqrt(variance + EPS)
        shift = self.block.get_parameter(f"{norm}.bias") - mean * scale
        rectified: Tensor = self.block.get_submodule("lrelu")(x * scale.view(-1, 1, 1, 1) + shift.view(-1, 1, 1, 1))
        return rectified


def padded(inputs: Tensor) -> Tensor:
    """(64, I, J, K) to the layout of `BlockImage.inputs`, channels last so that a tile is read in long rows."""
    marked = torch.cat([inputs, torch.ones_like(inputs[:1])]).half()
    return functional.pad(marked, (HALO,) * 6).permute(1, 2, 3, 0).contiguous()


def draw_tiles(image: BlockImage, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """n different tiles, each as likely as any other; all of them when there are no more than n.

    Returns their inputs, (n, 65, T + 4, T + 4, T + 4) with T = TILE, and classes one after the other, (1, 2 T n, 2 T,
    2 T) int64, as those of one image.
    """
    grid = image.grid
    picked = torch.randperm(grid[0] * grid[1] * grid[2], generator=generator)[:n]
    inputs, classes = [], []
    for corner in (torch.stack(torch.unravel_index(picked, grid), dim=1) * TILE).tolist():
        x, y, z = (slice(start, start + TILE + 2 * HALO) for start in corner)
        inputs.append(image.inputs[x, y, z].permute(3, 0, 1, 2))
        x, y, z = (slice(2 * start, 2 * (start + TILE)) for start in corner)
        classes.append(image.classes[x, y, z])
    return torch.stack(inputs).float(), torch.cat(classes)[None].long()


def last_weights(net: SegmentationNet) -> dict[str, Tensor]:
    """The weights of the last block and the head by their names in the network."""
    return {name: value.detach() for name, value in net.state_dict().items() if name.startswith((BLOCK, HEAD))}


def named_as_in_network(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a `LastBlock` by their names in the network."""
    return {name.replace("block.", BLOCK, 1): value for name, value in weights.items()}
