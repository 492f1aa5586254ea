"""A head about to be imaged: where each voxel lies in a label map, what is there, and what is ill."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from models.label_maps import CLASS_OF, HEALTHY_OF
from models.synthesis.draws import Draws
from models.synthesis.recipe import Recipe

LESION = 11
GLIOSIS, FLUID, SOLID, RIM = 1, 2, 3, 4
"""Parts of a lesion: damaged or swollen tissue, cavity or necrosis, solid tumour, its edge that enhances."""
N_PARTS = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """source: label map (I, J, K) int16 FreeSurfer ids, RAS+, 1 mm. labels: (X, Y, Z), the source at `points`.

    points: (3, X, Y, Z) index of the source that each voxel of the image shows.
    tissue: (X, Y, Z) uint8, class of the label. part: (X, Y, Z) uint8, part of a lesion painted over it, or 0.
    voxel_mm: spacing of the image.
    """

    source: Tensor
    points: Tensor
    labels: Tensor
    tissue: Tensor
    part: Tensor
    voxel_mm: float

    @property
    def classes(self) -> Tensor:
        """(X, Y, Z) uint8, classes of the network."""
        return torch.where(self.part > 0, LESION, self.tissue)

    def moved(self, points: Tensor) -> "Head":
        """The same head with other points of it in the voxels; what is painted stays where it is in the image."""
        labels = _labels_at(self.source, points)
        return replace(self, points=points, labels=labels, tissue=look_up(labels, CLASS_OF, 0).to(torch.uint8))

    def painted(self, part: int, where: Tensor) -> "Head":
        """With that part of a lesion where the mask (X, Y, Z) says, over any other."""
        return replace(self, part=self.part.masked_fill(where, part))


def positioned(source: Tensor, recipe: Recipe, draws: Draws) -> Head:
    """The head under a random affine and a diffeomorphic warp: another subject, not quite straight in the scanner."""
    axes = [(torch.arange(n, device=source.device) - (n - 1) / 2) * recipe.voxel_mm for n in recipe.shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij")) + _warp(recipe, draws)
    shift = draws.uniforms(3, -1, 1) * recipe.shift_mm + (torch.tensor(source.shape) - 1) / 2
    matrix, shift = _matrix(recipe, draws).to(source.device), shift.to(source.device)
    points = (matrix @ points.view(3, -1)).view(points.shape) + shift.view(3, 1, 1, 1)
    labels = _labels_at(source, points)
    tissue = look_up(labels, CLASS_OF, 0).to(torch.uint8)
    none = torch.zeros_like(tissue)
    return Head(source=source, points=points, labels=labels, tissue=tissue, part=none, voxel_mm=recipe.voxel_mm)


def healed(source: Tensor) -> Tensor:
    """The label map with its own lesions, which lie in white matter, given back to it."""
    out = source.clone()
    for lesion, healthy in HEALTHY_OF.items():
        out[source == lesion] = healthy
    return out


def look_up(labels: Tensor, table: Mapping[int, int], other: int) -> Tensor:
    """labels of any shape through the table, int64; `other` where it has no row."""
    lut = torch.full((max(*table, int(labels.max())) + 1,), other)
    lut[list(table)] = torch.tensor(list(table.values()))
    return lut.to(labels.device)[labels.long()]


def _labels_at(source: Tensor, points: Tensor) -> Tensor:
    """Nearest label, 0 outside."""
    index, inside = torch.zeros_like(points[0], dtype=torch.long), torch.ones_like(points[0], dtype=torch.bool)
    for p, n in zip(points.round(), source.shape, strict=True):
        inside &= (p >= 0) & (p < n)
        index = index * n + p.clamp(0, n - 1).long()
    return source.flatten()[index] * inside


def _matrix(recipe: Recipe, draws: Draws) -> Tensor:
    """(3, 3): rotation, scale, shear, from the scanner's axes to the head's."""
    angles = torch.deg2rad(draws.uniforms(3, -1, 1) * recipe.rotation_deg)
    if draws.chance(recipe.tilted):
        angles[draws.below(3)] += math.radians(draws.uniform(-60, 60))
    zero = torch.zeros(())
    skew = torch.stack([zero, -angles[2], angles[1], angles[2], zero, -angles[0], -angles[1], angles[0], zero])
    scale = torch.diag(1 + draws.uniforms(3, -1, 1) * recipe.scale)
    shear = torch.eye(3) + recipe.shear * draws.uniforms(9, -1, 1).view(3, 3) * (1 - torch.eye(3))
    rotation: Tensor = torch.linalg.matrix_exp(skew.view(3, 3))
    return rotation @ scale @ shear


def _warp(recipe: Recipe, draws: Draws) -> Tensor:
    """(3, X, Y, Z) mm: scaling and squaring of a smooth velocity. Source: Arsigny et al. 2006, MICCAI."""
    half = [n // 2 for n in recipe.shape]
    nodes = round(draws.uniform(4, 12))
    step_mm = 2 * recipe.voxel_mm
    velocity = draws.normal(1, 3, nodes, nodes, nodes) * draws.uniform(0, recipe.warp_mm) / step_mm / 2**5
    field = functional.interpolate(velocity, size=half, mode="trilinear", align_corners=True)
    lines = [torch.linspace(-1, 1, n, device=draws.device) for n in half]
    identity = torch.stack(torch.meshgrid(*lines, indexing="ij"))[None]
    to_unit = torch.tensor([2 / (n - 1) for n in half], device=draws.device).view(1, 3, 1, 1, 1)
    for _ in range(5):
        grid = (identity + field * to_unit).flip(1).permute(0, 2, 3, 4, 1)
        field = field + functional.grid_sample(field, grid, padding_mode="border", align_corners=True)
    return step_mm * functional.interpolate(field, size=recipe.shape, mode="trilinear", align_corners=True)[0]
