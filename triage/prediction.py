"""The prediction of one case, as the engine hands it over."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from triage.anatomy import N_CLASSES
from triage.findings import FINDINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the processing with the parameters that repeat it."""

    name: str
    parameters: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriorEffect:
    """What the anatomical prior changed at the point estimate, summed by the class that a voxel ended in.

    voxels: (C,) how many were looked at, an even sample. relabelled: (C,) those of another class without the prior.
    entropy_before, entropy_after: (C,) nats.
    """

    voxels: NDArray[np.float64]
    relabelled: NDArray[np.float64]
    entropy_before: NDArray[np.float64]
    entropy_after: NDArray[np.float64]

    def over(self, classes: Sequence[int]) -> tuple[float, float, float]:
        """Mean entropy before and after, nats, and share relabelled, of the voxels of some classes; NaN without any."""
        rows = (self.entropy_before, self.entropy_after, self.relabelled)
        n = float(self.voxels[list(classes)].sum())
        before, after, relabelled = (float(row[list(classes)].sum()) / n if n else math.nan for row in rows)
        return before, after, relabelled


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """The posterior predictive of one case. "Conformed" is RAS+, 1 mm, cropped to the head.

    affine: (4, 4) conformed index to the scanner's RAS+ mm. mni_affine: (4, 4) scanner RAS+ mm to MNI152 mm.
    image: (X, Y, Z) float32, normalised intensity, about [0, 1].
    labels: (X, Y, Z) uint8, class ids of `triage.anatomy`.
    entropy: (X, Y, Z) float32, nats, predictive entropy H[E p] in [0, log C].
    expected_entropy: (X, Y, Z) float32, nats, E H[p]; entropy - expected_entropy is the mutual information.
    conflict: (X, Y, Z) float32, nats, - log Z of the anatomical prior; larger is further from what anatomy expects.
    volumes_mm3: (S, C) float64, volume of each class in each of S posterior samples.
    pairwise_dice: mean soft Dice over pairs of posterior samples, [0, 1].
    finding_samples: (S, K) float64, probability of each of FINDINGS under each of S posterior samples; S is 0 when the
        bundle has no classifier.
    feature_distance: Mahalanobis distance of the pooled trunk features from training, in SDs.
    pooled_features: (D,) float64, those features, by which cases are alike or not; empty when the engine gives none.
    atlas_log_bayes_factor: nats per brain voxel, atlas at this pose against the pose-blurred atlas.
    prior_effect: what the anatomical prior changed.
    quality: named facts of the input for signal u8: snr, edge_contact_cm2, largest_spacing_mm, brain_ml.
    scanner_labels, scanner_entropy: labels and entropy on the grid of the input. scanner_affine: that grid's (4, 4).
    """

    affine: NDArray[np.float64]
    mni_affine: NDArray[np.float64]
    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    entropy: NDArray[np.float32]
    expected_entropy: NDArray[np.float32]
    conflict: NDArray[np.float32]
    volumes_mm3: NDArray[np.float64]
    pairwise_dice: float
    finding_samples: NDArray[np.float64]
    feature_distance: float
    atlas_log_bayes_factor: float
    prior_effect: PriorEffect
    quality: Mapping[str, float]
    scanner_labels: NDArray[np.uint8]
    scanner_entropy: NDArray[np.float32]
    scanner_affine: NDArray[np.float64]
    seed: int
    steps: tuple[Step, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    pooled_features: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        maps = (self.image, self.labels, self.entropy, self.expected_entropy, self.conflict)
        if len({a.shape for a in maps}) != 1 or self.labels.ndim != 3:
            raise ValueError(f"the conformed maps must share one 3D shape, got {[a.shape for a in maps]}")
        if self.volumes_mm3.ndim != 2 or self.volumes_mm3.shape[1] != N_CLASSES:
            raise ValueError(f"volumes_mm3 must be (samples, {N_CLASSES}), got {self.volumes_mm3.shape}")
        if self.finding_samples.ndim != 2 or self.finding_samples.shape[1] != len(FINDINGS):
            raise ValueError(f"finding_samples must be (samples, {len(FINDINGS)}), got {self.finding_samples.shape}")
        if self.scanner_labels.shape != self.scanner_entropy.shape:
            raise ValueError("scanner_labels and scanner_entropy must share the scanner's grid")

    @property
    def mutual_information(self) -> NDArray[np.float32]:
        """(X, Y, Z) nats, >= 0: what more data could remove. Source: Houlsby et al. 2011, arXiv:1112.5745, eq. 2."""
        information: NDArray[np.float32] = np.maximum(self.entropy - self.expected_entropy, 0)
        return information
