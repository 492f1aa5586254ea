"""Gaussian blur of volumes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

WIDE_SD = 3.0
"""Beyond it the field has nothing to show between every second voxel."""


def gaussian_blur(image: Tensor, sd: Sequence[float]) -> Tensor:
    """Separable Gaussian blur of (X, Y, Z); sd in voxels along each axis, edges repeated."""
    out = image[None, None]
    for axis, s in enumerate(sd):
        radius = math.ceil(3 * s)
        places = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
        kernel = torch.exp(-(places**2) / (2 * s * s))
        shape = [1, 1, *[len(kernel) if a == axis else 1 for a in range(3)]]
        pad = [radius if a == axis else 0 for a in (2, 2, 1, 1, 0, 0)]
        padded = functional.pad(out, pad, mode="replicate")
        out = functional.conv3d(padded, (kernel / kernel.sum()).view(shape))
    blurred: Tensor = out[0, 0]
    return blurred


def softened(mask: Tensor, sd: float) -> Tensor:
    """A mask (X, Y, Z) blurred by sd voxels; at half the resolution where that changes nothing."""
    if sd < WIDE_SD:
        return gaussian_blur(mask.float(), [sd] * 3)
    half = functional.avg_pool3d(mask[None, None].float(), 2, ceil_mode=True, count_include_pad=False)[0, 0]
    # Averaging over pairs and going back between their centres blurs too, by 1/4 and 1/2 of a voxel squared.
    coarse = gaussian_blur(half, [math.sqrt(sd * sd - 0.75) / 2] * 3)[None, None]
    return functional.interpolate(coarse, scale_factor=2, mode="trilinear")[0, 0][tuple(map(slice, mask.shape))]
