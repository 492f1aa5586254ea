"""The segmentation network: a 3D U-Net that thinks at 2 mm and answers at 1 mm.

Space-to-depth by 2 turns a 1 mm image into 8 channels at 2 mm; a 5-level U-Net gives 32 features a 2 mm cell; a linear
head gives the logits of the cell's 8 voxels. The posterior is over that linear head, so features are computed once.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn

WIDTHS = (32, 64, 96, 128, 160)
SUBVOXELS = 8
SIDE_MULTIPLE = 2 ** len(WIDTHS)
SMALLEST_SIDE = 2 * SIDE_MULTIPLE
"""Instance norm needs more than one cell at the deepest level."""


class Trunk(nn.Module):
    """Image to features. (N, 1, X, Y, Z), sides a multiple of 32 -> (N, 32, X/2, Y/2, Z/2)."""

    def __init__(self, widths: Sequence[int] = WIDTHS, dropout: float = 0.1) -> None:
        super().__init__()
        deep = [dropout if level >= 3 else 0.0 for level in range(len(widths))]
        inputs = (SUBVOXELS, *widths[:-1])
        self.encoder = nn.ModuleList(_block(i, o, d) for i, o, d in zip(inputs, widths, deep, strict=True))
        self.down = nn.ModuleList(nn.Conv3d(w, w, 2, stride=2) for w in widths[:-1])
        self.up = nn.ModuleList(nn.ConvTranspose3d(below, w, 2, stride=2) for w, below in pairwise(widths))
        self.decoder = nn.ModuleList(_block(2 * w, w, dropout) for w in widths[:-1])

    def forward(self, image: Tensor) -> Tensor:
        features: Tensor = self.decoder[0](self.before_last_block(image))
        return features

    def before_last_block(self, image: Tensor) -> Tensor:
        """What comes into the last decoder block, (N, 64, X/2, Y/2, Z/2)."""
        x: Tensor = pixelunshuffle(image, spatial_dims=3, scale_factor=2)
        skips: list[Tensor] = []
        for encode, down in zip(self.encoder, self.down, strict=False):
            x = encode(x)
            skips.append(x)
            x = down(x)
        x = self.encoder[-1](x)
        for level in reversed(range(1, len(self.up))):
            x = self.decoder[level](torch.cat([self.up[level](x), skips[level]], dim=1))
        return torch.cat([self.up[0](x), skips[0]], dim=1)


class SegmentationNet(nn.Module):
    """Trunk and linear head, the deterministic network. (N, 1, X, Y, Z) -> logits (N, C, X, Y, Z)."""

    def __init__(self, n_classes: int, widths: Sequence[int] = WIDTHS, dropout: float = 0.1) -> None:
        super().__init__()
        self.trunk = Trunk(widths, dropout)
        self.head = nn.Conv3d(widths[0], n_classes * SUBVOXELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        require_sides(image.shape[2:])
        logits: Tensor = pixelshuffle(self.head(self.trunk(image)), spatial_dims=3, scale_factor=2)
        return logits

    @property
    def linear_head(self) -> Tensor:
        """The head as a matrix, (8 C, F + 1), the bias as its last column."""
        weight, bias = self.head.weight.detach(), self.head.get_parameter("bias").detach()
        return torch.cat([weight[:, :, 0, 0, 0], bias[:, None]], dim=1)


def require_sides(shape: Sequence[int]) -> None:
    """Refuse an image that the network cannot halve five times. Raises ValueError."""
    if any(side % SIDE_MULTIPLE or side < SMALLEST_SIDE for side in shape):
        raise ValueError(
            f"The image is {'x'.join(map(str, shape))}; every side must be a multiple of {SIDE_MULTIPLE} "
            f"and at least {SMALLEST_SIDE}. Pad it with zeros."
        )


def _block(n_in: int, n_out: int, dropout: float) -> UnetBasicBlock:
    return UnetBasicBlock(
        spatial_dims=3,
        in_channels=n_in,
        out_channels=n_out,
        kernel_size=3,
        stride=1,
        norm_name=("instance", {"affine": True}),
        act_name=("leakyrelu", {"negative_slope": 0.01}),
        dropout=dropout or None,
    )
