"""Posteriors with a temperature of their own, fitted as the bundle's is: on scans of the tune split, manual labels."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize

from models.posteriors import POSTERIORS, HeadPosterior
from pipelines.compare import SampledCase, grade, predictive
from pipelines.posterior_grades import heads

RANGE = (0.5, 4.0)
TOLERANCE = 0.01


def fit_temperature(posterior: HeadPosterior, cases: Sequence[SampledCase]) -> float:
    """Of least mean NLL of the posterior's predictive over the cases, healthy tissue alone being divided by it."""
    drawn = heads(posterior)

    def loss(temperature: float) -> float:
        divided = drawn / temperature
        return float(np.mean([grade(c, predictive(c, divided, temperature=temperature)).nll for c in cases]))

    return float(optimize.minimize_scalar(loss, bounds=RANGE, method="bounded", options={"xatol": TOLERANCE}).x)


def tempered(posteriors: Mapping[str, HeadPosterior], temperatures: Mapping[str, float]) -> dict[str, HeadPosterior]:
    """The named posteriors divided by their temperatures."""
    return {
        name: POSTERIORS[name].load({key: value / t for key, value in posteriors[name].state.items()})
        for name, t in temperatures.items()
    }
