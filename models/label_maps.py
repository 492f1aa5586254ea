"""Label maps to train from: reading them, and the one table that maps FreeSurfer ids onto our classes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

CLASS_OF: Mapping[int, int] = {
    24: 1,
    3: 2, 42: 2,
    2: 3, 41: 3, 30: 3, 62: 3, 251: 3, 252: 3, 253: 3, 254: 3, 255: 3, 85: 1,
    10: 4, 49: 4, 11: 4, 50: 4, 12: 4, 51: 4, 13: 4, 52: 4, 26: 4, 58: 4, 25: 11, 57: 11, 77: 11,
    17: 5, 53: 5, 18: 5, 54: 5,
    4: 6, 43: 6, 5: 6, 44: 6, 31: 6, 63: 6, 136: 6, 137: 6, 163: 6, 164: 6,
    14: 7, 15: 7, 72: 7,
    8: 8, 47: 8,
    7: 9, 46: 9,
    16: 10, 28: 10, 60: 10,
}  # fmt: skip
"""FreeSurfer id -> class of the network; every other id is background (skull, scalp, eyes, vessels, sinuses).

SynthSeg's 136, 137, 163 and 164 lie within the lateral ventricles, where FreeSurfer has the choroid plexus (31, 63).
"""

HEALTHY_OF: Mapping[int, int] = {25: 2, 57: 41, 77: 2}
"""Id of a lesion -> id of the tissue that it is in."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelMap:
    """labels: (X, Y, Z) int16 FreeSurfer ids, RAS+. affine: (4, 4) index to mm. subject: the cluster of its images."""

    subject: str
    labels: NDArray[np.int16]
    affine: NDArray[np.float64]

    @property
    def classes(self) -> NDArray[np.uint8]:
        """(X, Y, Z) uint8, classes of the network."""
        return to_classes(self.labels)


def to_classes(labels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """FreeSurfer ids to classes of the network, any shape."""
    table = np.zeros(int(labels.max()) + 1, np.uint8)
    for source, target in CLASS_OF.items():
        if source < len(table):
            table[source] = target
    return table[labels]


def read_label_maps(source: Path) -> Iterator[LabelMap]:
    """From an .npz of (X, Y, Z) arrays at 1 mm RAS+, or a folder of NIfTI files; one a subject, in name order."""
    if source.suffix == ".npz":
        with np.load(source) as archive:
            for name in sorted(n for n in archive.files if archive[n].ndim == 3):
                labels = archive[name].astype(np.int16)
                affine = np.eye(4)
                affine[:3, 3] = -np.array(labels.shape) / 2
                yield LabelMap(subject=name, labels=labels, affine=affine)
        return
    for path in sorted(source.glob("*.nii*")):
        image = nib.as_closest_canonical(nib.load(path))
        labels = np.asarray(image.dataobj).astype(np.int16)
        yield LabelMap(subject=path.name.split(".")[0], labels=labels, affine=np.asarray(image.affine, np.float64))
