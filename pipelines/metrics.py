"""Figures of merit of a segmentation and of its uncertainty, as pure functions of arrays.

Sums that add up over scans come first (`Overlap`, `Reliability`), so that scans can be pooled and drawn again.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating]
T = TypeVar("T")

FINE_BINS = 1500
"""Confidence is counted this finely, a multiple of BINS; coarser bins are merged from these."""
BINS = 15
BAND_MM = 2
BOOTSTRAPS = 2000
FEWEST = 8
"""Subjects drawn again tell no interval where they are fewer: two or three give little else than themselves."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reliability:
    """counts: (FINE_BINS, 3): voxels, sum of the confidence, number of voxels where it came true, by confidence."""

    counts: NDArray[np.float64]

    def __add__(self, other: "Reliability") -> "Reliability":
        return Reliability(counts=self.counts + other.counts)


def reliability(confidence: Floats, outcome: Mask) -> Reliability:
    """confidence: probability of an event, any shape, in [0, 1]. outcome: whether it came true."""
    p = confidence.ravel().astype(np.float64)
    bins = np.minimum((p * FINE_BINS).astype(np.int64), FINE_BINS - 1)
    sums = [np.bincount(bins, weights, FINE_BINS) for weights in (None, p, outcome.ravel().astype(np.float64))]
    return Reliability(counts=np.stack(sums, axis=1).astype(np.float64))


def expected_calibration_error(seen: Reliability) -> float:
    """Mean over voxels of |confidence - frequency| in bins of equal width. Source: Naeini et al. 2015, AAAI, eq. 2."""
    return _gap(seen.counts.reshape(BINS, -1, 3).sum(axis=1))


def excess(seen: Reliability) -> float:
    """Mean confidence less frequency. The calibration error is at least its size, and no more where all bins agree."""
    n, confidence, outcome = seen.counts.sum(axis=0)
    return float((confidence - outcome) / n) if n else float("nan")


def adaptive_calibration_error(seen: Reliability) -> float:
    """The same in bins of equal mass, to within the fine bins. Source: Nixon et al. 2019, arXiv:1904.01685, eq. 5."""
    before = np.cumsum(seen.counts[:, 0]) - seen.counts[:, 0] / 2
    total = max(float(seen.counts[:, 0].sum()), 1.0)
    to = np.minimum((before / total * BINS).astype(np.int64), BINS - 1)
    return _gap(np.stack([np.bincount(to, seen.counts[:, k], BINS) for k in range(3)], axis=1))


def diagram(seen: Reliability) -> NDArray[np.float64]:
    """Mean confidence and frequency in each of the BINS bins of equal width, (BINS, 2); NaN where there is no voxel."""
    merged = seen.counts.reshape(BINS, -1, 3).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(merged[:, 1:] / merged[:, :1])


def dice(a: Mask, b: Mask) -> float:
    """2 |A and B| / (|A| + |B|); NaN when the second, the reference, is empty."""
    return 2 * int(np.count_nonzero(a & b)) / (int(a.sum()) + int(b.sum())) if b.any() else float("nan")


def jaccard(a: Mask, b: Mask) -> float:
    """|A and B| / |A or B|; NaN when the second, the reference, is empty."""
    return int(np.count_nonzero(a & b)) / int(np.count_nonzero(a | b)) if b.any() else float("nan")


def surface_distance_95(a: Mask, b: Mask, spacing_mm: Sequence[float]) -> float:
    """The larger of the two 95th percentiles of the distance from one surface to the other, mm; NaN if one is empty."""
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    if not (a.any() and b.any()):
        return float("nan")
    pair = [torch.from_numpy(np.ascontiguousarray(one[_box(a | b)]))[None, None] for one in (a, b)]
    found = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing_mm))
    return float(found)


def grown(mask: Mask, width: int = BAND_MM) -> Mask:
    """The mask and what lies within `width` steps of it."""
    return _in_box(mask, width, ndimage.binary_dilation)


def band(mask: Mask, width: int = BAND_MM) -> Mask:
    """Voxels within `width` steps of the mask's boundary, on both sides of it; the array's edge is no boundary."""
    deep = _in_box(mask, width, partial(ndimage.binary_erosion, border_value=1))
    return np.asarray(grown(mask, width) & ~deep)


def auroc(score: Floats, positive: Mask) -> float:
    """Probability that a positive scores above a negative, ties counting half; NaN when there is only one kind."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not (n and m):
        return float("nan")
    ranks = stats.rankdata(score)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def aurc(score: Floats, loss: Floats) -> float:
    """Mean, over how many of the least doubtful cases are accepted, of the mean loss among them; ties in any order.

    score: (n,), larger is more doubtful. loss: (n,), >= 0. Source: Geifman and El-Yaniv 2017, arXiv:1705.08500.
    """
    accepted = np.cumsum(_by_score(score, loss))
    return float(np.mean(accepted / np.arange(1, len(loss) + 1)))


def augrc(score: Floats, loss: Floats) -> float:
    """Area under the generalised risk, the loss of the accepted cases over all cases, by coverage; lower is better.

    For losses of 0 and 1 with mean a it is (1 - AUROC) a (1 - a) + a^2 / 2. Source: Traub et al. 2024,
    arXiv:2407.01032, eq. 5 and 6.
    """
    risk = np.concatenate([[0.0], np.cumsum(_by_score(score, loss)) / len(loss)])
    return float(np.mean((risk[1:] + risk[:-1]) / 2))


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation."""
    return float(stats.spearmanr(a, b).statistic)


def subject_interval(
    subjects: Sequence[T], statistic: Callable[[Sequence[T]], float], *, seed: int = 0, n: int = BOOTSTRAPS
) -> tuple[float, float]:
    """95 % percentile interval of a statistic when subjects, each with all that is theirs, are drawn again."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(subjects), size=(n, len(subjects)))
    values = [statistic([subjects[i] for i in draw]) for draw in draws]
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)


def _gap(counts: NDArray[np.float64]) -> float:
    """Sum of |confidence - frequency| over voxels. counts: (bins, 3)."""
    total = counts[:, 0].sum()
    return float(np.abs(counts[:, 1] - counts[:, 2]).sum() / total) if total else float("nan")


def _by_score(score: Floats, loss: Floats) -> NDArray[np.float64]:
    """Losses from the least to the most doubtful case; of a tie each the mean, the expectation over orders."""
    _, group = np.unique(score, return_inverse=True)
    means = np.bincount(group, loss) / np.bincount(group)
    return np.asarray(means[np.sort(group)])


def _in_box(mask: Mask, width: int, work: Callable[..., Mask]) -> Mask:
    """A morphological operation of `width` steps, done only where the mask is and around."""
    found = np.zeros_like(mask)
    if mask.any():
        box = tuple(slice(max(0, s.start - width - 1), s.stop + width + 1) for s in _box(mask))
        found[box] = work(mask[box], iterations=width)
    return found


def _box(mask: Mask) -> tuple[slice, ...]:
    """Bounding box of a mask that is not empty."""
    return tuple(ndimage.find_objects(mask.astype(np.uint8))[0])


def known_mean(values: Iterable[float | None]) -> float:
    """Mean of those that are numbers; NaN without any."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
