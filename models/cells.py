"""Cells of the feature grid with their labels: what every posterior of the linear head is fitted on.

The trunk's features are computed once an image; a sample of its cells is kept, with the weight that makes sums over the
sample estimate sums over the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Some cells of one image. subject: whose label map or scan it is, the cluster of its images.

    features: (F + 1, n) float32, last row ones. classes: (8, n) int64, the labels of each cell's 8 voxels.
    weight: (n,) float32, cells of the image that each one stands for, 1 / its probability of being drawn.
    """

    subject: str
    features: Tensor
    classes: Tensor
    weight: Tensor


def write_cells(path: Path, images: Sequence[Cells]) -> None:
    """All cells in one safetensors file, features in half precision; the subjects are its metadata."""
    tensors = {}
    for number, cells in enumerate(images):
        tensors[f"{number}.features"] = cells.features.half()
        tensors[f"{number}.classes"] = cells.classes.to(torch.uint8)
        tensors[f"{number}.weight"] = cells.weight.float()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {str(number): cells.subject for number, cells in enumerate(images)})


def read_cells(path: Path) -> list[Cells]:
    """What `write_cells` wrote, in its order."""
    with safe_open(path, "pt") as stored:
        subjects = stored.metadata()
        return [
            Cells(
                subject=subjects[str(number)],
                features=stored.get_tensor(f"{number}.features").float(),
                classes=stored.get_tensor(f"{number}.classes").long(),
                weight=stored.get_tensor(f"{number}.weight"),
            )
            for number in range(len(subjects))
        ]
