"""Feature density: how far a scan's tissue features lie from those that the network was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureDensity:
    """Gaussian over pooled features. mean: (D,). whitening: (D, D), L^T with L L^T the precision."""

    mean: Tensor
    whitening: Tensor

    def distance(self, pooled: Tensor) -> float:
        """Mahalanobis distance over sqrt(D), so that 1 is usual. pooled: (D,), NaN gives NaN."""
        return float((self.whitening @ (pooled - self.mean)).norm() / len(self.mean) ** 0.5)


def pool(features: Tensor, probability: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Mean features of each group of classes. features: (F, N); probability: (C, N). Returns (len(groups) F,)."""
    means = []
    for ids in groups:
        weight = probability[list(ids)].sum(dim=0)
        means.append((features * weight).sum(dim=1) / weight.sum())
    return torch.cat(means)


def fit_density(pooled: NDArray[np.float64]) -> FeatureDensity:
    """pooled: (n, D). Covariance by Ledoit and Wolf 2004, J. Multivariate Anal. 88(2), eq. 14 (scikit-learn)."""
    from sklearn.covariance import LedoitWolf

    fit = LedoitWolf().fit(pooled)
    whitening = np.linalg.cholesky(np.asarray(fit.precision_)).T
    return FeatureDensity(mean=torch.from_numpy(fit.location_).float(), whitening=torch.from_numpy(whitening).float())
