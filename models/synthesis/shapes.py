"""Real lesions' shapes, drawn by experts in MNI space, and their way into another head."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.synthesis.draws import Draws
from models.synthesis.head import Head

Kind = Literal["stroke", "white_matter_lesions"]

KIND_OF_PREFIX: dict[str, Kind] = {"stroke_": "stroke", "ms_": "white_matter_lesions"}
WHITE_MATTER = (2, 41)
CENTRE_MM, SPREAD_MM = (0.0, -17.6, 20.2), (32.2, 39.4, 24.1)
"""Mean and SD of cerebral white matter in MNI152NLin2009aSym, where the shipped atlas gives it > 0.5."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LesionShape:
    """mask: (I, J, K) bool, cropped to the lesion. affine: (4, 4) its index to MNI RAS+ mm."""

    kind: Kind
    mask: Tensor
    affine: NDArray[np.float64]


def read_lesion_shapes(folder: Path) -> list[LesionShape]:
    """Masks in MNI space, NIfTI files named stroke_* or ms_*, in order of name. An empty mask is left out."""
    shapes = []
    for path in sorted(folder.glob("*.nii*")):
        kinds = [kind for prefix, kind in KIND_OF_PREFIX.items() if path.name.startswith(prefix)]
        image = nib.load(path)
        mask = np.asarray(image.dataobj) > 0.5
        if not kinds or not mask.any():
            continue
        hit = np.argwhere(mask)
        low, high = hit.min(axis=0), hit.max(axis=0) + 1
        affine = np.array(image.affine, np.float64)
        affine[:3, 3] = (affine @ [*low, 1])[:3]
        box = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        shapes.append(LesionShape(kind=kinds[0], mask=torch.from_numpy(box.copy()), affine=affine))
    return shapes


def of_kind(shapes: Sequence[LesionShape], kind: Kind) -> list[LesionShape]:
    """Those of one kind."""
    return [shape for shape in shapes if shape.kind == kind]


def to_mni(source: Tensor) -> NDArray[np.float64]:
    """(4, 4) index of a label map, RAS+, to MNI mm: by the mean and the spread of its white matter along each axis.

    Lesions are scattered by more than this registration errs, so the tilt of the head in its map is left in.
    """
    white = torch.zeros_like(source, dtype=torch.bool)
    for label in WHITE_MATTER:
        white |= source == label
    out = np.eye(4)
    for axis, (centre, spread) in enumerate(zip(CENTRE_MM, SPREAD_MM, strict=True)):
        count = white.sum(dim=[a for a in range(3) if a != axis]).double().cpu()
        at = torch.arange(len(count), dtype=torch.float64)
        total = count.sum().clamp_min(1)
        mean = float((count * at).sum() / total)
        sd = math.sqrt(float((count * (at - mean) ** 2).sum() / total)) or spread
        out[axis, axis] = spread / sd
        out[axis, 3] = centre - mean * spread / sd
    return out


def placed(shape: LesionShape, head: Head, draws: Draws) -> Tensor:
    """(X, Y, Z) bool: the shape in this head after registration, mirrored, moved, scaled and warped at random."""
    centre = np.array(CENTRE_MM)
    stretch = np.diag([draws.log_uniform(0.8, 1.25) for _ in range(3)] + [1.0])
    if draws.chance(0.5):
        stretch[0, 0] *= -1  # about the midline: the centre of MNI space lies on it
    stretch[:3, 3] = centre - stretch[:3, :3] @ centre + [draws.uniform(-6, 6) for _ in range(3)]
    matrix = np.linalg.inv(shape.affine) @ stretch @ to_mni(head.source)
    device = head.points.device
    linear, shift = (torch.from_numpy(m).float().to(device) for m in (matrix[:3, :3], matrix[:3, 3]))
    index = (linear @ head.points.view(3, -1)).view(head.points.shape) + shift.view(3, 1, 1, 1)
    nodes, wobble = [draws.below(9) + 8] * 3, draws.uniform(0, 2.5)
    index = index + wobble * torch.stack([draws.smooth(head.labels.shape, nodes) for _ in range(3)])
    sides = torch.tensor(shape.mask.shape, device=device).view(3, 1, 1, 1)
    grid = ((2 * index + 1) / sides - 1).flip(0).permute(1, 2, 3, 0)[None]
    values = shape.mask.to(device, torch.float32)[None, None]
    return functional.grid_sample(values, grid, padding_mode="zeros", align_corners=False)[0, 0] > 0.5
