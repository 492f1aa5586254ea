"""The three views through one place, as a radiologist expects them: the patient's right is on the viewer's left."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One cut through a RAS+ array, perpendicular to `axis`. left, right, top, bottom: the letters of its sides."""

    name: str
    axis: int
    left: str
    right: str
    top: str
    bottom: str


AXIAL = View(name="axial", axis=2, left="R", right="L", top="A", bottom="P")
VIEWS: tuple[View, ...] = (
    AXIAL,
    View(name="coronal", axis=1, left="R", right="L", top="S", bottom="I"),
    View(name="sagittal", axis=0, left="A", right="P", top="S", bottom="I"),
)


def cut(array: NDArray[Any], view: View, index: Index) -> NDArray[Any]:
    """The (rows, columns) picture of one view of a RAS+ array through a voxel."""
    slice_: NDArray[Any] = np.take(array, index[view.axis], axis=view.axis)
    return slice_[::-1, ::-1].T


def position(view: View, index: Index, size: tuple[int, int]) -> tuple[float, float]:
    """Where the voxel's centre lies in the picture of `cut`, (x, y) in voxels from the top left corner.

    size: (columns, rows) of the picture.
    """
    across, up = (i for axis, i in enumerate(index) if axis != view.axis)
    return size[0] - across - 0.5, size[1] - up - 0.5


def inside(index: Index, shape: tuple[int, ...]) -> Index:
    """The voxel of the array that is nearest to the index."""
    i, j, k = (min(max(int(n), 0), size - 1) for n, size in zip(index, shape, strict=True))
    return i, j, k
