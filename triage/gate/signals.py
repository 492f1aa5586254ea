"""The case signals: one pure function each, Evidence -> float, larger is worse, NaN when it cannot be told.

Without a brain none can be told. All look only at the brain and its surroundings, so zero-padding or a larger field of
view changes none of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from triage.anatomy import BRAIN, LESION
from triage.findings import predictive_entropy
from triage.prediction import Prediction

Patches = NDArray[np.float32]
"""Means over 10 mm around each voxel of the brain's box."""

PATCH_MM = 10
FAR_MM = 3
"""Distances from a boundary are told apart up to here; "interior" is this far or farther."""
SMALLEST_STRUCTURE_ML = 0.5
ENOUGH_SNR = 10.0
LARGEST_SPACING_MM = 3.0
EDGE_CONTACT_CM2 = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """A prediction cut to the brain's box, with what several signals share.

    usual_entropy: (FAR_MM + 1,) nats, what a good scan has at each distance from a boundary, by the operating point.
    """

    prediction: Prediction
    usual_entropy: NDArray[np.float64]

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """The brain's bounding box and a patch around it; the whole grid when there is no brain."""
        brain = self.prediction.labels >= min(BRAIN)
        slices = []
        for axis, n in enumerate(brain.shape):
            hit = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
            slices.append(slice(max(0, hit[0] - PATCH_MM), min(n, hit[-1] + 1 + PATCH_MM)) if len(hit) else slice(0, n))
        return slices[0], slices[1], slices[2]

    @cached_property
    def brain(self) -> NDArray[np.bool_]:
        """Mask of the brain in the box."""
        return np.asarray(self.prediction.labels[self.box] >= min(BRAIN))

    @cached_property
    def entropy(self) -> NDArray[np.float32]:
        """Predictive entropy in the box, nats."""
        return self.prediction.entropy[self.box]

    @cached_property
    def distance(self) -> NDArray[np.uint8]:
        """City-block distance to the nearest boundary between classes, mm, 0 on it, at most FAR_MM.

        Beyond the grid lies background: padding then moves no boundary.
        """
        labels = np.pad(self.prediction.labels[self.box], 1)
        reached = np.zeros(labels.shape, bool)
        for axis in range(3):
            lower = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
            upper = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
            differs = labels[lower] != labels[upper]
            reached[lower] |= differs
            reached[upper] |= differs
        distance = np.full(labels.shape, FAR_MM, np.uint8)
        distance[reached] = 0
        for d in range(1, FAR_MM):
            grown = ndimage.binary_dilation(reached)
            distance[grown & ~reached] = d
            reached = grown
        return distance[1:-1, 1:-1, 1:-1]

    @cached_property
    def excess(self) -> NDArray[np.float32]:
        """Entropy of the brain above what is usual at that distance from a boundary, nats; 0 outside the brain."""
        excess = np.where(self.brain, self.entropy - self.usual_entropy[self.distance].astype(np.float32), 0)
        return excess.astype(np.float32)

    @cached_property
    def excess_patches(self) -> Patches:
        """Mean of that over 10 mm patches."""
        return _patch_mean(self.excess)

    @cached_property
    def conflict_patches(self) -> Patches:
        """Mean over 10 mm patches of the conflict with anatomy, nats."""
        conflict = np.where(self.brain, self.prediction.conflict[self.box], 0)
        return _patch_mean(conflict.astype(np.float32))

    def worst(self, patches: Patches) -> tuple[int, int, int]:
        """Conformed index of the worst patch's centre, within the brain."""
        flat = int(np.where(self.brain, patches, -np.inf).argmax())
        index = np.unravel_index(flat, patches.shape)
        i, j, k = (int(n) + s.start for n, s in zip(index, self.box, strict=True))
        return i, j, k


def boundary_entropy(e: Evidence) -> float:
    """u1: entropy summed over the brain, per boundary voxel, nats."""
    return _ratio(float(e.entropy[e.brain].sum()), float(np.count_nonzero((e.distance == 0) & e.brain)))


def interior_entropy(e: Evidence) -> float:
    """u2: mean entropy farther than 2 mm from any boundary, nats."""
    return _mean(e.entropy[e.brain & (e.distance == FAR_MM)])


def worst_patch(e: Evidence) -> float:
    """u3: worst 10 mm patch of entropy above what is usual at that distance from a boundary, nats."""
    return _max(e.excess_patches[e.brain])


def sample_disagreement(e: Evidence) -> float:
    """u4: 1 - mean pairwise soft Dice of posterior samples. Source: Roy et al. 2019, NeuroImage 195, eq. 5."""
    return _of_brain(e, 1 - e.prediction.pairwise_dice)


def volume_spread(e: Evidence) -> float:
    """u5: largest coefficient of variation of a structure's volume over posterior samples. Source: Roy 2019, eq. 4.

    The SD is half the distance between the 16th and 84th percentile: one sample of 32 far out in the tail gave 40 times
    the usual value for one seed in four, and a verdict must not hang on its seed. Lesion is left out: where there is
    none, its volume is a few false voxels, and varies as such.
    """
    volumes = e.prediction.volumes_mm3[:, min(BRAIN) : LESION] / 1000
    if len(volumes) < 2:
        return float("nan")
    low, middle, high = np.quantile(volumes, (0.16, 0.5, 0.84), axis=0)
    counted = ~(middle <= SMALLEST_STRUCTURE_ML)  # a volume that is not a number counts
    return _of_brain(e, _max((high - low)[counted] / 2 / middle[counted]))


def prior_conflict(e: Evidence) -> float:
    """u6, global: minus the log Bayes factor of the registration per brain voxel, nats; above 0 the pose is no help."""
    return _of_brain(e, -e.prediction.atlas_log_bayes_factor)


def focal_conflict(e: Evidence) -> float:
    """u6, focal: worst 10 mm patch of conflict with anatomy, nats."""
    return _max(e.conflict_patches[e.brain])


def feature_density(e: Evidence) -> float:
    """u7: Mahalanobis distance of the tissue features from those of training, over the root of their number."""
    return _of_brain(e, e.prediction.feature_distance)


def input_quality(e: Evidence) -> float:
    """u8: the worst of the input's shortcomings, each relative to what is still good enough."""
    found = shortcomings(e.prediction.quality)
    return _of_brain(e, float(np.max(list(found.values())))) if found else float("nan")


def shortcomings(quality: Mapping[str, float]) -> dict[str, float]:
    """Coverage, sampling and noise, 1 where only just good enough; none when a fact is missing.

    Air may be absent (skull-stripped): then noise is not told.
    """
    if not {"edge_contact_cm2", "largest_spacing_mm", "snr"} <= quality.keys():
        return {}
    found = {
        "coverage": quality["edge_contact_cm2"] / EDGE_CONTACT_CM2,
        "sampling": quality["largest_spacing_mm"] / LARGEST_SPACING_MM,
    }
    return found if np.isnan(quality["snr"]) else found | {"noise": ENOUGH_SNR / max(quality["snr"], 1e-6)}


def finding_entropy(e: Evidence) -> float:
    """u9: predictive entropy over what the scan looks most like, nats."""
    return _of_brain(e, predictive_entropy(e.prediction.finding_samples))


Signal = Callable[[Evidence], float]

SIGNALS: Mapping[str, Signal] = {
    "boundary_entropy": boundary_entropy,
    "interior_entropy": interior_entropy,
    "worst_patch": worst_patch,
    "sample_disagreement": sample_disagreement,
    "volume_spread": volume_spread,
    "prior_conflict": prior_conflict,
    "focal_conflict": focal_conflict,
    "feature_density": feature_density,
    "input_quality": input_quality,
    "finding_entropy": finding_entropy,
}
NOT_IN_EVERY_BUNDLE = frozenset({"finding_entropy"})
"""A bundle without a classifier has no limit for it, and its cases no value."""


def _patch_mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum over a cube of PATCH_MM over the cube's own size: a patch that is half outside the brain counts half."""
    return np.asarray(ndimage.uniform_filter(values, PATCH_MM, mode="constant"), np.float32)


def _of_brain(e: Evidence, value: float) -> float:
    """The engine's own number, when there is a brain that it can be about."""
    return value if e.brain.any() else float("nan")


def _mean(values: NDArray[np.float32]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _max(values: NDArray[np.floating]) -> float:
    return float(values.max()) if values.size else float("nan")


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else float("nan")
