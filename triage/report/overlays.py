"""Pictures of one slice: the image in grey, the segmentation and the entropy as see-through layers over it."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triage.anatomy import N_CLASSES, STRUCTURES

FINER = 3
"""The segmentation is drawn at this many pixels a voxel, so that its outlines stay thin."""

ENTROPY_TOP_NATS = 1.5
"""Top of the entropy scale, the same in every picture so that cases compare; two classes in balance have 0.69."""

_FILL, _OUTLINE = 96, 255
_ENTROPY_LEVELS = 64
_INFERNO = ((40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39), (252, 255, 164))
"""Anchors of matplotlib's inferno without its black end: bright where the entropy is high, readable in grey print."""


def grey(slice_: NDArray[np.float32]) -> Image.Image:
    """(rows, columns) normalised intensity; [0, 1] is black to white."""
    return Image.fromarray(np.rint(np.clip(np.nan_to_num(slice_), 0, 1) * 255).astype(np.uint8), mode="L")


def segmentation(labels: NDArray[np.uint8]) -> Image.Image:
    """(rows, columns) class ids as tinted areas with outlines, `FINER` pixels a voxel; background is clear.

    The outline runs where the linear interpolants of two classes are equal, as viewers draw a smooth contour.
    """
    classes = [int(c) for c in np.unique(labels)]
    size = (labels.shape[1] * FINER, labels.shape[0] * FINER)
    shares = [
        np.asarray(Image.fromarray((labels == c).astype(np.float32), mode="F").resize(size, Image.Resampling.BILINEAR))
        for c in classes
    ]
    fine = np.asarray(classes, np.uint8)[np.argmax(shares, axis=0)]
    outlined = np.where(_on_outline(fine) & (fine > 0), fine + (N_CLASSES - 1), fine).astype(np.uint8)
    colours = [s.rgb for s in STRUCTURES]
    return _layer(outlined, [(0, 0, 0), *colours, *colours], [0, *[_FILL] * len(colours), *[_OUTLINE] * len(colours)])


def entropy(nats: NDArray[np.float32]) -> Image.Image:
    """(rows, columns) nats in the colours of `entropy_colours`; clear at 0, opaque from half the scale on.

    A voxel that is not a number is shown at the top of the scale.
    """
    share = np.clip(np.nan_to_num(nats, nan=np.inf) / ENTROPY_TOP_NATS, 0, 1)
    levels = np.rint(share * (_ENTROPY_LEVELS - 1)).astype(np.uint8)
    steps = np.linspace(0, 1, _ENTROPY_LEVELS)
    alpha = np.clip((steps - 0.04) / 0.46, 0, 0.9)
    return _layer(levels, entropy_colours(_ENTROPY_LEVELS), [round(255 * a) for a in alpha])


def entropy_colours(n: int) -> list[tuple[int, int, int]]:
    """n colours from 0 nats to `ENTROPY_TOP_NATS`."""
    anchors = np.asarray(_INFERNO, float)
    at = np.linspace(0, len(anchors) - 1, n)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)]
    return [(round(r), round(g), round(b)) for r, g, b in zip(*channels, strict=True)]


def _on_outline(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with a neighbour of another class, left, right, above or below."""
    padded = np.pad(labels, 1, mode="edge")
    neighbours = (padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1])
    return np.asarray(np.any([n != labels for n in neighbours], axis=0))


def _layer(indices: NDArray[np.uint8], colours: list[tuple[int, int, int]], alpha: list[int]) -> Image.Image:
    image = Image.fromarray(indices, mode="P")
    image.putpalette([channel for colour in colours for channel in colour])
    image.info["transparency"] = bytes(alpha)
    return image
