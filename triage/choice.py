"""Which series of a study is the structural one, by one sort key that can be read."""

from collections.abc import Sequence
from math import prod

from triage.case import NotChosen, Series, Weighting

_RANK = {Weighting.T1: 0, Weighting.FLAIR: 2, Weighting.T2: 3, Weighting.PD: 4, Weighting.UNKNOWN: 5}
_T1_WITH_AGENT = 1
_CRITERIA = (
    "its weighting ranks after that of the chosen series",
    "it was acquired in 2D, the chosen series in 3D",
    "its voxels are coarser than those of the chosen series",
    "it covers less than the chosen series",
)
_EQUAL = "it is as good as the chosen series; the choice between equals is arbitrary but repeatable"


def preference(series: Series) -> tuple[int, bool, float, float, str]:
    """Sort key, smallest is best.

    T1 without contrast agent, T1 with, FLAIR, T2, PD, unknown; then 3D before 2D; then the finest largest voxel edge
    (0.01 mm); then the largest volume covered (0.1 litre); then the pseudonym, so that a rerun chooses the same.
    """
    rank = _T1_WITH_AGENT if series.weighting is Weighting.T1 and series.contrast_agent else _RANK[series.weighting]
    litres = prod(n * mm for n, mm in zip(series.shape, series.spacing_mm, strict=True)) / 1e6
    return rank, not series.acquisition_3d, round(max(series.spacing_mm), 2), -round(litres, 1), series.pseudonym


def choose(candidates: Sequence[Series]) -> tuple[Series, list[NotChosen]]:
    """The best of at least one candidate, and the others, each with the first criterion in which it is behind."""
    best, *others = sorted(candidates, key=preference)
    return best, [_not_chosen(other, best) for other in others]


def _not_chosen(other: Series, best: Series) -> NotChosen:
    pairs = zip(_CRITERIA, preference(other), preference(best), strict=False)
    return NotChosen(
        pseudonym=other.pseudonym,
        weighting=other.weighting,
        shape=other.shape,
        code=None,
        why=next((why for why, its, bests in pairs if its != bests), _EQUAL),
    )
