"""A small head: an ellipsoid of tissues with an asymmetry along every axis, as an atlas at 4 mm."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from models.priors.atlas import Atlas


@pytest.fixture(scope="session")
def toy_atlas() -> Atlas:
    """Background, CSF, grey, white, ventricle and cerebellum on 40 x 50 x 40 cells of 4 mm."""
    shape, affine = (40, 50, 40), np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-78, -116, -72]
    x, y, z = np.meshgrid(*[np.arange(n) * 4.0 + o for n, o in zip(shape, affine[:3, 3], strict=True)], indexing="ij")
    radius = np.sqrt((x / 68) ** 2 + ((y + 18) / 86) ** 2 + ((z - 10) / 60) ** 2)
    classes = np.select([radius < 0.75, radius < 0.92, radius < 1], [3, 2, 1], 0)
    classes[(np.abs(x) < 14) & (np.abs(y + 5) < 30) & (np.abs(z - 15) < 12)] = 4
    classes[((x / 45) ** 2 + ((y + 65) / 30) ** 2 + ((z + 35) / 22) ** 2) < 1] = 5
    maps = np.stack([ndimage.gaussian_filter((classes == c).astype(np.float32), 0.6) for c in range(6)]) + 2e-3
    return Atlas(probability=torch.from_numpy(maps / maps.sum(axis=0)).float(), affine=affine)
