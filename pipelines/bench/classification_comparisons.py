"""Which sets of scans the page of the classification compares, on equal terms, and the AUROC of each."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from pipelines.bench.classification_page import KEYS, Row
from pipelines.bench.classification_scans import (
    AS_IT_IS,
    AT_2_MM,
    ELDERLY,
    GLIOMA_T1C,
    IXI,
    MS,
    OASIS,
    STRIPPED,
    THICK,
)
from pipelines.metrics import auroc
from triage.findings import NOT_ASSESSABLE

OLD_YEARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Which of two sets of scans has the higher probability of `keys`. Sets: (group, copy); from least_age years on."""

    name: str
    keys: tuple[str, ...]
    positives: tuple[tuple[str, str], ...]
    negatives: tuple[tuple[str, str], ...]
    least_age: float = -math.inf


_LESIONS, _AGEING, _FOCAL = ("white_matter_lesions",), ("white_matter_lesions", "atrophy"), ("focal",)
_OLD, _IXI = ((ELDERLY.name, AS_IT_IS),), ((IXI.name, AS_IT_IS),)
COMPARISONS = (
    Comparison(
        name="elderly, against all normals", keys=_AGEING, positives=_OLD, negatives=(*_IXI, (OASIS.name, AS_IT_IS))
    ),
    Comparison(
        name="elderly, against normals at 2 mm with a skull as they are", keys=_AGEING, positives=_OLD, negatives=_IXI
    ),
    Comparison(
        name=f"and of {OLD_YEARS} years or more", keys=_AGEING, positives=_OLD, negatives=_IXI, least_age=OLD_YEARS
    ),
    Comparison(
        name="elderly, stripped, against normals at 2 mm, stripped",
        keys=_AGEING,
        positives=((ELDERLY.name, STRIPPED),),
        negatives=((IXI.name, STRIPPED),),
    ),
    Comparison(
        name="MS in thick slices, against normals at 2 mm",
        keys=_LESIONS,
        positives=((MS.name, AS_IT_IS),),
        negatives=_IXI,
    ),
    Comparison(
        name="MS in thick slices, against normals in 3.5 mm slices",
        keys=_LESIONS,
        positives=((MS.name, AS_IT_IS),),
        negatives=((IXI.name, THICK),),
    ),
    Comparison(
        name="glioma, T1 after contrast, 1 mm stripped, against normals, 1 mm stripped",
        keys=_FOCAL,
        positives=((GLIOMA_T1C.name, AS_IT_IS),),
        negatives=((OASIS.name, AS_IT_IS),),
    ),
    Comparison(
        name="and at 2 mm, against normals, 2 mm stripped",
        keys=_FOCAL,
        positives=((GLIOMA_T1C.name, AT_2_MM),),
        negatives=((OASIS.name, AT_2_MM), (IXI.name, STRIPPED)),
    ),
    Comparison(
        name="four scans, each damaged heavily in seven ways, against all as they are",
        keys=(NOT_ASSESSABLE.key,),
        positives=((IXI.name, "damaged"),),
        negatives=_IXI,
    ),
)


def compared(comparison: Comparison, rows: Sequence[Row]) -> dict[str, Any]:
    """AUROC of the classifier, and of the ventricles, the lesion and the age alone.

    With an interval where every scan is of a person of its own: copies of one person tell less than as many people.
    """
    columns = [KEYS.index(key) for key in comparison.keys]
    sets = [_chosen(rows, wanted, comparison.least_age) for wanted in (comparison.positives, comparison.negatives)]
    n, m = (len(s) for s in sets)
    area = _area(sets, lambda row: sum(row["p"][c] for c in columns))
    people = len({row["case"] for rows_of in sets for row in rows_of})
    low, high = auroc_interval(area, n, m) if people == n + m else (math.nan, math.nan)
    return {
        "name": comparison.name,
        "positives": n,
        "negatives": m,
        "auroc": area,
        "low": low,
        "high": high,
        "ventricles": _area(sets, lambda row: row["ventricles"]),
        "lesion": _area(sets, lambda row: row["lesion"]),
        "age": _area([[r for r in s if r["age_years"] > 0] for s in sets], lambda row: row["age_years"]),
    }


def auroc_interval(area: float, n: int, m: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score-like interval of an AUROC of n positives and m negatives; it does not close at 0 and 1.

    Source: Newcombe 2006, Stat. Med. 25(4), method 5, with the variance of Hanley and McNeil 1982, Radiology 143(1).
    """
    if math.isnan(area):
        return math.nan, math.nan
    z = float(norm.ppf((1 + confidence) / 2))
    middle = (n + m) / 2 - 1

    def gap(true: float) -> float:
        spread = true * (1 - true) * (1 + middle * ((1 - true) / (2 - true) + true / (1 + true))) / (n * m)
        return (area - true) ** 2 - z * z * spread

    # 0 and 1 are roots themselves when they are what was seen: the search starts beside it.
    low = 0.0 if area <= 0 else float(brentq(gap, 0, area * (1 - 1e-9)))
    high = 1.0 if area >= 1 else float(brentq(gap, area + (1 - area) * 1e-9, 1))
    return low, high


def _chosen(rows: Sequence[Row], wanted: Sequence[tuple[str, str]], least_age: float) -> list[Row]:
    found = [row for row in rows if (row["group"], row["copy"]) in wanted]
    return [row for row in found if math.isinf(least_age) or row["age_years"] >= least_age]


def _area(sets: Sequence[Sequence[Row]], score: Callable[[Row], float]) -> float:
    values = np.array([score(row) for s in sets for row in s], np.float64)
    return auroc(values, np.arange(len(values)) < len(sets[0]))
