"""Volumes of structures and tissues with credible intervals, from posterior samples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triage.anatomy import LESION, STRUCTURES, TISSUE_NAMES, TISSUES


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Posterior mean and equal-tailed 95 % interval. unit: "ml", or "1" for a fraction."""

    key: str
    name: str
    unit: str
    value: float
    low: float
    high: float


def measure(volumes_mm3: NDArray[np.float64]) -> tuple[Measurement, ...]:
    """Every structure, every tissue and the brain-parenchymal fraction.

    volumes_mm3: (S, C), one row a posterior sample. BPF = (GM + WM + lesion) / (GM + WM + lesion + CSF), in [0, 1],
    NaN for an empty head.
    """
    ml = volumes_mm3 / 1000.0
    rows = [_summary(s.key, s.name, "ml", ml[:, s.id]) for s in STRUCTURES]
    tissue = {key: ml[:, list(ids)].sum(axis=1) for key, ids in TISSUES.items()}
    rows += [_summary(key, TISSUE_NAMES[key], "ml", sums) for key, sums in tissue.items()]
    parenchyma = tissue["grey_matter"] + tissue["white_matter"] + ml[:, LESION]
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = parenchyma / (parenchyma + tissue["csf"])
    return (*rows, _summary("brain_parenchymal_fraction", "Brain-parenchymal fraction", "1", fraction))


def _summary(key: str, name: str, unit: str, samples: NDArray[np.float64]) -> Measurement:
    low, high = np.quantile(samples, (0.025, 0.975))
    return Measurement(key=key, name=name, unit=unit, value=float(samples.mean()), low=float(low), high=float(high))
