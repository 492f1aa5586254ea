"""A made-up head: shells of skull, fluid, cortex and white matter with a ventricle on either side of the midline."""

import numpy as np
import torch

SHAPE = (48, 56, 48)
SKULL, CSF = 515, 24
LEFT = {"white": 2, "cortex": 3, "ventricle": 4}
RIGHT = {"white": 41, "cortex": 42, "ventricle": 43}


def head(shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    """(X, Y, Z) int16 FreeSurfer ids, the whole head 90 % as wide as the shape."""
    axes = [2 * np.arange(n) / (n - 1) - 1 for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2) / 0.9
    ventricle = ((np.abs(x) - 0.16) / 0.1) ** 2 + (y / 0.3) ** 2 + (z / 0.15) ** 2 < 1
    inside = [ventricle, radius < 0.66, radius < 0.8, radius < 0.88, radius < 1]
    sides = [
        np.select(inside, [side["ventricle"], side["white"], side["cortex"], CSF, SKULL], 0) for side in (LEFT, RIGHT)
    ]
    return torch.from_numpy(np.where(x < 0, *sides).astype(np.int16))
