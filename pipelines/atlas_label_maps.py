"""Label maps without any data: the ICBM tissues, divided among the classes by the shipped atlas, in a made-up skull.

Coarse against a real label map (one brain, bent), so what is trained on them is a test of the training, not a model.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from models.bundle import ATLAS, read_atlas
from models.label_maps import LabelMap
from models.priors.atlas import icbm_tissues
from models.synthesis import Draws, Recipe
from models.synthesis.head import positioned
from pipelines.settings import SHIPPED_BUNDLE
from triage.anatomy import TISSUES

ID_OF: Mapping[int, tuple[int, int]] = {
    0: (0, 0), 1: (24, 24), 2: (3, 42), 3: (2, 41), 4: (10, 49), 5: (17, 53), 6: (4, 43), 7: (14, 14), 8: (8, 47),
    9: (7, 46), 10: (16, 16),
}  # fmt: skip
"""Class -> FreeSurfer id on the left and on the right."""
FLUID_MM, SKULL_MM, SCALP_MM = 2, 8, 15
"""How far from the brain each layer around it reaches."""
MARGIN_MM = 20


def atlas_label_maps(subjects: int) -> Iterator[LabelMap]:
    """The template's brain bent into that many others, always the same ones."""
    template = _template()
    x, y, z = template.labels.shape
    other = Recipe(shape=(x, y, z), rotation_deg=0, tilted=0, scale=0.1, shear=0, shift_mm=0, warp_mm=7)
    for subject in range(subjects):
        draws = Draws(torch.Generator().manual_seed(subject))
        labels = positioned(torch.from_numpy(template.labels), other, draws).labels
        yield LabelMap(subject=f"atlas_{subject + 1:02}", labels=labels.numpy(), affine=template.affine)


def _template() -> LabelMap:
    tissues, affine = icbm_tissues(voxel_mm=1)
    atlas = read_atlas(SHIPPED_BUNDLE / ATLAS)
    shape = tissues["csf"].shape
    probability = atlas.on_grid(shape, affine).numpy()
    classes = np.zeros(shape, np.int64)
    names = list(TISSUES)
    most = np.argmax([tissues[name] for name in names], axis=0)
    brain = sum(tissues.values()) > 0.5
    for i, name in enumerate(names):
        of_tissue = np.array(TISSUES[name])[probability[list(TISSUES[name])].argmax(axis=0)]
        classes = np.where(brain & (most == i), of_tissue, classes)
    right = (affine[0, 0] * np.arange(shape[0]) + affine[0, 3] > 0).astype(np.int64)[:, None, None]
    table = np.array([ID_OF[c] for c in range(len(ID_OF))], np.int16)
    labels = table[classes, np.broadcast_to(right, shape)]
    box = ndimage.find_objects((labels > 0).astype(np.uint8))[0]
    moved = affine.copy()
    moved[:3, 3] = (affine @ [*(side.start - MARGIN_MM for side in box), 1])[:3]
    return LabelMap(subject="template", labels=_with_layers(np.pad(labels[box], MARGIN_MM)), affine=moved)


def _with_layers(labels: NDArray[np.int16]) -> NDArray[np.int16]:
    distance = ndimage.distance_transform_edt(labels == 0)
    reach = [distance <= mm for mm in (0, FLUID_MM, SKULL_MM, SCALP_MM)]
    return np.select(reach, [labels, *(np.full_like(labels, i) for i in (24, 515, 516))], 0).astype(np.int16)
