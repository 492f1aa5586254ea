"""What a scanner makes of a head: slices, motion, bias field, noise, gamma, a field of view that ends somewhere."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from models.synthesis.blur import gaussian_blur
from models.synthesis.draws import Draws
from models.synthesis.recipe import Recipe


def scanned(image: Tensor, recipe: Recipe, draws: Draws) -> Tensor:
    """(X, Y, Z) as the scanner would store it, >= 0, not normalised."""
    image = _sliced(image, recipe, draws)
    if draws.chance(recipe.ghosts):
        image = moved(image, axis=draws.below(3), voxels=draws.uniform(0.2, 1.5), periods=draws.uniform(2, 24))
    nodes = [int(draws.uniform(2, 6))] * 3
    image = image * torch.exp(draws.uniform(0, recipe.bias) * draws.smooth(image.shape, nodes))
    image = rician(image, draws.uniform(0, recipe.noise), draws)
    peak = image.max().clamp_min(1e-6)
    return peak * (image / peak) ** math.exp(draws.uniform(-recipe.gamma, recipe.gamma))


def field_of_view(shape: torch.Size, recipe: Recipe, draws: Draws) -> tuple[slice, slice, slice]:
    """The part of the grid that was scanned; the rest is padding."""
    if not draws.chance(recipe.cropped):
        return slice(None), slice(None), slice(None)
    ends = (draws.uniforms(6, -0.08, 0.16).clamp_min(0).view(3, 2) * torch.tensor(shape)[:, None]).int().tolist()
    x, y, z = (slice(low, n - high) for (low, high), n in zip(ends, shape, strict=True))
    return x, y, z


def rician(image: Tensor, sd: float, draws: Draws) -> Tensor:
    """Magnitude of the image with Gaussian noise in both channels. Source: Gudbjartsson and Patz 1995, eq. 1."""
    real, imaginary = image + sd * draws.normal(*image.shape), sd * draws.normal(*image.shape)
    return torch.hypot(real, imaginary)


def moved(image: Tensor, *, axis: int, voxels: float, periods: float) -> Tensor:
    """Ghosts of a head that swings by that many voxels along the phase-encoding axis, that often during the scan.

    A shift while a line of k-space is read is a phase of that line: the Fourier shift theorem, line by line.
    """
    n = image.shape[axis]
    frequency = torch.fft.fftfreq(n, device=image.device)
    time = torch.fft.ifftshift(torch.arange(n, device=image.device)) / n  # lines are read from one edge to the other
    shift = voxels * torch.sin(2 * math.pi * periods * time)
    phase = torch.polar(torch.ones_like(shift), -2 * math.pi * frequency * shift)
    shape = [n if a == axis else 1 for a in range(3)]
    spectrum = torch.fft.fft(image, dim=axis) * phase.view(shape)
    magnitude: Tensor = torch.fft.ifft(spectrum, dim=axis).abs()
    return magnitude


def normalised(image: Tensor) -> Tensor:
    """(X, Y, Z) to about [0, 1.5] as the main path does: 0.5th percentile to 0, 99.5th of the foreground to 1."""
    values = image.flatten()[::37].sort().values
    low = values[int(0.005 * len(values))]
    foreground = values[values > low + 0.02 * (values[-1] - low)]
    high = foreground[int(0.995 * (len(foreground) - 1))] if len(foreground) else values[-1]
    return ((image - low) / torch.where(high > low, high - low, 1)).clamp(0, 1.5)


def _sliced(image: Tensor, recipe: Recipe, draws: Draws) -> Tensor:
    """Partial volume by blurring, and in some images thick slices along one axis."""
    blur = [draws.uniform(0.3, 0.9)] * 3
    if not draws.chance(recipe.thick_slices):
        return gaussian_blur(image, blur)
    axis, slice_mm = draws.below(3), draws.uniform(1.5, recipe.largest_slice_mm)
    step = max(1.0, slice_mm / recipe.voxel_mm)
    blur[axis] = max(blur[axis], 0.42 * step)
    size = [max(8, int(n / step)) if a == axis else n for a, n in enumerate(image.shape)]
    thin = functional.interpolate(gaussian_blur(image, blur)[None, None], size=size, mode="trilinear")
    return functional.interpolate(thin, size=image.shape, mode="trilinear")[0, 0]
