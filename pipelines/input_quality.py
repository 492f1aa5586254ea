"""Facts of an input that say how far it can be trusted, for the signal `input_quality`."""

import numpy as np
from numpy.typing import NDArray

from pipelines.preprocess import Conformed
from triage.anatomy import BRAIN
from triage.case import Volume

EDGE_MM = 2


def input_quality(conformed: Conformed, volume: Volume, labels: NDArray[np.uint8]) -> dict[str, float]:
    """labels: (X, Y, Z), of the conformed volume.

    edge_contact_cm2: brain on the edge of the field of view, where the image was cut off.
    """
    inside = labels[tuple(slice(n) for n in conformed.extent)] >= min(BRAIN)
    contact = 0
    for end, cut in enumerate(conformed.cut):
        axis, last = divmod(end, 2)
        face = np.take(inside, -EDGE_MM if last else EDGE_MM - 1, axis=axis)
        contact += int(face.sum()) if cut else 0
    return {
        "snr": conformed.snr,
        "edge_contact_cm2": contact / 100,
        "largest_spacing_mm": max(volume.spacing_mm),
        "brain_ml": float(inside.sum()) / 1000,
    }
