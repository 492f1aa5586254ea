"""A slice that does not belong to its neighbours.

JPEG 2000 carries no checksum: OpenJPEG decodes a codestream with random bytes in its body to noise, without an error.
Neighbouring slices of a head resemble each other; a slice of noise among them does not.
"""

import numpy as np
from numpy.typing import NDArray

LEAST_CORRELATION = 0.2
LEAST_CONTRAST = 0.5
"""Of the median standard deviation of a slice: slices of air are noise too, but faint."""


def odd_slice(array: NDArray[np.float32]) -> int | None:
    """Index of the first slice of (column, row, slice) with contrast that resembles neither neighbour; None if none."""
    coarse = array[::2, ::2].reshape(-1, array.shape[2]).astype(np.float64)
    centred = coarse - coarse.mean(axis=0)
    spread = np.sqrt((centred**2).mean(axis=0))
    unit = centred / np.maximum(spread, np.finfo(np.float64).tiny)
    correlation = (unit[:, 1:] * unit[:, :-1]).mean(axis=0)
    best = np.maximum(np.append(correlation, -1.0), np.insert(correlation, 0, -1.0))
    odd = np.flatnonzero((spread > LEAST_CONTRAST * np.median(spread)) & (best < LEAST_CORRELATION))
    return int(odd[0]) if odd.size else None
