"""Images from label maps: deform, draw one Gaussian a structure, blur, thicken slices, add bias field, noise and gamma.

No real intensity enters, so no licence and no site enters the weights. Source: Billot et al. 2023, Med. Image Anal. 86
(SynthSeg), whose ranges are widened here. Everything runs on the CPU: one seed, one image.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.label_maps import CLASS_OF, EXTRA_CEREBRAL_FROM

GROUP_OF: Mapping[int, int] = {
    0: 0, 24: 1, 3: 2, 42: 2, 2: 3, 41: 3, 30: 4, 62: 4, 10: 5, 49: 5, 11: 6, 50: 6, 12: 7, 51: 7, 13: 8, 52: 8,
    26: 6, 58: 6, 17: 9, 53: 9, 18: 10, 54: 10, 4: 11, 5: 11, 43: 11, 44: 11, 14: 11, 15: 11, 72: 11, 8: 12, 47: 12,
    7: 13, 46: 13, 16: 14, 28: 15, 60: 15, 85: 16, 25: 17, 57: 17, 136: 18, 137: 18, 163: 19, 164: 19, 502: 20,
    506: 21, 507: 22, 508: 23, 509: 24, 511: 25, 512: 26, 514: 27, 515: 28, 516: 29, 530: 30,
}  # fmt: skip
"""FreeSurfer id -> group of structures that share one Gaussian; left and right look alike."""
OTHER_GROUP = 30
N_GROUPS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Ranges of the generator. t1_like: share of images with CSF < grey < white; the rest have a free contrast."""

    shape: tuple[int, int, int] = (160, 192, 160)
    rotation_deg: float = 18.0
    scale: float = 0.18
    shear: float = 0.03
    shift_mm: float = 20.0
    warp_mm: float = 4.5
    t1_like: float = 0.6
    stripped: float = 0.3
    thick_slices: float = 0.3
    largest_slice_mm: float = 6.0
    bias: float = 0.45
    noise: float = 14.0
    gamma: float = 0.35


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SyntheticImage:
    """image: (X, Y, Z) float32, not yet normalised, >= 0. classes: (X, Y, Z) uint8."""

    image: Tensor
    classes: Tensor


class Draws:
    """Random numbers for one image, from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.uniform(0, 1) < probability

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(*shape, generator=self.generator)


def synthesise(labels: Tensor, recipe: Recipe, generator: torch.Generator) -> SyntheticImage:
    """One image. labels: (X, Y, Z) int16 FreeSurfer ids, RAS+, 1 mm."""
    draws = Draws(generator)
    if draws.chance(0.5):
        labels = labels.flip(0)  # the tables are symmetric: left and right ids share class and group
    labels = _deformed(labels, recipe, draws)
    classes, groups = _lookup(labels, CLASS_OF, 0), _lookup(labels, GROUP_OF, OTHER_GROUP)
    if draws.chance(recipe.stripped):
        groups = torch.where(labels >= EXTRA_CEREBRAL_FROM, 0, groups)
    mean, sd = _contrast(recipe, draws)
    image = (mean[groups] + sd[groups] * draws.normal(*groups.shape)).clamp_min(0)
    image = _sampled_by_scanner(image, recipe, draws)
    image = image * torch.exp(_smooth_field(image.shape, draws.uniform(2, 6), draws.uniform(0, recipe.bias), draws))
    level = draws.uniform(0, recipe.noise)
    real, imaginary = image + level * draws.normal(*image.shape), level * draws.normal(*image.shape)
    image = torch.sqrt(real.square() + imaginary.square())  # Rician: Gudbjartsson and Patz 1995
    peak = image.max().clamp_min(1e-6)
    image = peak * (image / peak) ** math.exp(draws.uniform(-recipe.gamma, recipe.gamma))
    return SyntheticImage(image=image, classes=classes.to(torch.uint8))


def _lookup(labels: Tensor, table: Mapping[int, int], other: int) -> Tensor:
    lut = torch.full((int(labels.max()) + 1,), other, dtype=torch.long)
    for source, target in table.items():
        if source < len(lut):
            lut[source] = target
    return lut[labels.long()]


def _deformed(labels: Tensor, recipe: Recipe, draws: Draws) -> Tensor:
    """The label map under a random affine and a diffeomorphic warp, nearest neighbour, on recipe.shape."""
    angles = torch.tensor([math.radians(draws.uniform(-1, 1) * recipe.rotation_deg) for _ in range(3)])
    zero = torch.zeros(())
    skew = torch.stack([zero, -angles[2], angles[1], angles[2], zero, -angles[0], -angles[1], angles[0], zero])
    scale = torch.diag(torch.tensor([1 + draws.uniform(-1, 1) * recipe.scale for _ in range(3)]))
    shear = torch.eye(3) + recipe.shear * (2 * torch.rand(3, 3, generator=draws.generator) - 1) * (1 - torch.eye(3))
    matrix = torch.linalg.matrix_exp(skew.view(3, 3)) @ scale @ shear
    shift = torch.tensor([draws.uniform(-1, 1) * recipe.shift_mm for _ in range(3)])
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in recipe.shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij")) + _warp(recipe, draws)
    points = (matrix @ points.view(3, -1)).view(points.shape) + shift.view(3, 1, 1, 1)
    sides = torch.tensor(labels.shape).view(3, 1, 1, 1)
    index = (points + (sides - 1) / 2).round().long()
    inside = ((index >= 0) & (index < sides)).all(dim=0)
    x, y, z = index.clamp_min(0).minimum(sides - 1)
    return torch.where(inside, labels[x, y, z], 0)


def _warp(recipe: Recipe, draws: Draws) -> Tensor:
    """(3, X, Y, Z) mm: scaling and squaring of a smooth velocity. Source: Arsigny et al. 2006, MICCAI."""
    half = [n // 2 for n in recipe.shape]
    nodes = round(draws.uniform(4, 12))
    velocity = draws.normal(1, 3, nodes, nodes, nodes) * draws.uniform(0, recipe.warp_mm) / 2 / 2**5
    field = functional.interpolate(velocity, size=half, mode="trilinear", align_corners=True)
    identity = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, n) for n in half], indexing="ij"))[None]
    to_unit = torch.tensor([2 / (n - 1) for n in half]).view(1, 3, 1, 1, 1)
    for _ in range(5):
        grid = (identity + field * to_unit).flip(1).permute(0, 2, 3, 4, 1)
        field = field + functional.grid_sample(field, grid, padding_mode="border", align_corners=True)
    return 2 * functional.interpolate(field, size=recipe.shape, mode="trilinear", align_corners=True)[0]


def _contrast(recipe: Recipe, draws: Draws) -> tuple[Tensor, Tensor]:
    """Mean and SD of every group, (N_GROUPS,), about [0, 255]."""
    mean = torch.rand(N_GROUPS, generator=draws.generator) * 255
    sd = torch.rand(N_GROUPS, generator=draws.generator) * 22 + 1
    mean[0], sd[0] = draws.uniform(0, 12), draws.uniform(0, 6)
    if not draws.chance(recipe.t1_like):
        return mean, sd
    csf, grey = draws.uniform(15, 70), draws.uniform(90, 140)
    white = grey + draws.uniform(25, 90)

    def between(low: float, high: float) -> float:
        return grey + (white - grey) * draws.uniform(low, high)

    mean[1], mean[11] = csf, csf * draws.uniform(0.7, 1.1)
    mean[2], mean[3], mean[4] = grey, white, draws.uniform(csf, white)
    deep = {5: (0.4, 0.95), 6: (-0.1, 0.35), 7: (0.1, 0.6), 8: (0.6, 1.05), 9: (-0.15, 0.25), 10: (-0.15, 0.25)}
    for group, (low, high) in (deep | {14: (0.55, 1.02), 15: (0.5, 1.0)}).items():
        mean[group] = between(low, high)
    mean[12], mean[13] = grey * draws.uniform(0.88, 1.08), white * draws.uniform(0.92, 1.06)
    sd[1:17] = torch.rand(16, generator=draws.generator) * 13 + 2
    return mean, sd


def _sampled_by_scanner(image: Tensor, recipe: Recipe, draws: Draws) -> Tensor:
    """Partial volume by blurring, and in some images thick slices along one axis."""
    blur = [draws.uniform(0.3, 0.9)] * 3
    if not draws.chance(recipe.thick_slices):
        return gaussian_blur(image, blur)
    axis, slice_mm = min(2, int(draws.uniform(0, 3))), draws.uniform(1.5, recipe.largest_slice_mm)
    blur[axis] = max(blur[axis], 0.42 * slice_mm)
    size = [max(8, int(n / slice_mm)) if a == axis else n for a, n in enumerate(image.shape)]
    thin = functional.interpolate(gaussian_blur(image, blur)[None, None], size=size, mode="trilinear")
    return functional.interpolate(thin, size=image.shape, mode="trilinear")[0, 0]


def gaussian_blur(image: Tensor, sd: Sequence[float]) -> Tensor:
    """Separable Gaussian blur of (X, Y, Z); sd in voxels along each axis, edges repeated."""
    out = image[None, None]
    for axis, s in enumerate(sd):
        radius = math.ceil(3 * s)
        kernel = torch.exp(-(torch.arange(-radius, radius + 1).float() ** 2) / (2 * s * s))
        shape = [1, 1, *[len(kernel) if a == axis else 1 for a in range(3)]]
        pad = [radius if a == axis else 0 for a in (2, 2, 1, 1, 0, 0)]
        padded = functional.pad(out, pad, mode="replicate")
        out = functional.conv3d(padded, (kernel / kernel.sum()).view(shape))
    return out[0, 0]


def _smooth_field(shape: Sequence[int], nodes: float, sd: float, draws: Draws) -> Tensor:
    n = max(2, int(nodes))
    coarse = draws.normal(1, 1, n, n, n) * sd
    return functional.interpolate(coarse, size=list(shape), mode="trilinear", align_corners=True)[0, 0]
