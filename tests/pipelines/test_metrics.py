"""The figures of merit, against closed forms, brute force and other libraries."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from pipelines.metrics import (
    BINS,
    FINE_BINS,
    adaptive_calibration_error,
    augrc,
    aurc,
    auroc,
    band,
    diagram,
    dice,
    excess,
    expected_calibration_error,
    grown,
    jaccard,
    reliability,
    subject_interval,
    surface_distance_95,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_an_honest_confidence_has_no_calibration_error(rng: np.random.Generator) -> None:
    p = rng.random(400_000)
    seen = reliability(p, rng.random(p.shape) < p)

    assert expected_calibration_error(seen) < 0.005
    assert adaptive_calibration_error(seen) < 0.005


def test_the_excess_is_the_whole_calibration_error_where_every_probability_is_off_to_the_same_side() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.8, 20_000)
    outward, too_sure = reliability(p, rng.random(p.size) < p - 0.2), reliability(p, rng.random(p.size) < 0.5)

    assert excess(outward) == pytest.approx(0.2, abs=0.02)
    assert excess(outward) == pytest.approx(expected_calibration_error(outward), abs=0.001)
    assert abs(excess(too_sure)) < 0.1 * expected_calibration_error(too_sure)


def test_confidence_that_is_too_high_by_a_tenth_is_off_by_a_tenth(rng: np.random.Generator) -> None:
    p = 0.1 + 0.9 * rng.random(400_000)
    seen = reliability(p, rng.random(p.shape) < p - 0.1)

    assert expected_calibration_error(seen) == pytest.approx(0.1, abs=0.005)
    assert adaptive_calibration_error(seen) == pytest.approx(0.1, abs=0.005)


def test_calibration_errors_are_those_of_a_loop_over_bins(rng: np.random.Generator) -> None:
    p = rng.beta(0.5, 0.5, 30_000)
    happened = rng.random(p.shape) < p**2

    seen = reliability(p, happened)

    equal_width = np.minimum((p * BINS).astype(int), BINS - 1)
    equal_mass = np.empty(len(p), int)
    equal_mass[np.argsort(p)] = np.arange(len(p)) * BINS // len(p)
    for bins, error, within in (
        (equal_width, expected_calibration_error, 1e-9),
        (equal_mass, adaptive_calibration_error, 1 / FINE_BINS),
    ):
        gaps = [abs(p[bins == b].mean() - happened[bins == b].mean()) * (bins == b).mean() for b in range(BINS)]
        assert error(seen) == pytest.approx(sum(gaps), abs=within)


def test_the_expected_calibration_error_is_that_of_monai(rng: np.random.Generator) -> None:
    from monai.metrics import CalibrationErrorMetric

    p = rng.beta(0.5, 0.5, (1, 2, 20, 20, 20)).astype(np.float32)
    happened = rng.random(p.shape) < p**2
    metric = CalibrationErrorMetric(num_bins=BINS, calibration_reduction="expected", metric_reduction="none")

    theirs = metric(torch.from_numpy(p), torch.from_numpy(happened.astype(np.float32)))[0]

    ours = [expected_calibration_error(reliability(p[0, c], happened[0, c])) for c in range(2)]
    assert theirs.numpy() == pytest.approx(ours, abs=1e-3)


def test_pooled_scans_count_as_one_large_scan(rng: np.random.Generator) -> None:
    p, happened = rng.random((2, 1000)), rng.random((2, 1000)) < 0.5

    together = reliability(p[0], happened[0]) + reliability(p[1], happened[1])

    assert together.counts == pytest.approx(reliability(p, happened).counts)
    assert np.nanmax(diagram(together)) <= 1


def test_overlaps_are_those_of_sets(rng: np.random.Generator) -> None:
    a, b = rng.random((2, 5, 6, 7)) < 0.4
    x, y = ({tuple(i) for i in np.argwhere(m)} for m in (a, b))

    assert dice(a, b) == 2 * len(x & y) / (len(x) + len(y))
    assert jaccard(a, b) == len(x & y) / len(x | y)
    assert math.isnan(dice(a, np.zeros_like(b)))
    assert math.isnan(jaccard(a, np.zeros_like(b)))


def test_two_slabs_are_as_far_apart_as_they_were_moved() -> None:
    a, b = np.zeros((2, 40, 12, 12), bool)
    a[5:15], b[8:18] = True, True

    assert surface_distance_95(a, b, (2.0, 1.0, 1.0)) == pytest.approx(6.0)
    assert math.isnan(surface_distance_95(a, np.zeros_like(a), (1.0, 1.0, 1.0)))


def test_the_surface_distance_is_that_of_a_distance_transform(rng: np.random.Generator) -> None:
    a, b = (ndimage.gaussian_filter(rng.standard_normal((24, 20, 22)), 3) > 0 for _ in range(2))
    spacing = (1.0, 1.5, 2.0)

    found = surface_distance_95(a, b, spacing)

    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    far = [ndimage.distance_transform_edt(~edge, spacing) for edge in edges]
    directed = [np.percentile(far[1 - k][edges[k]], 95) for k in (0, 1)]
    assert found == pytest.approx(max(directed), rel=1e-5)


def test_the_band_is_what_lies_within_two_steps_of_the_boundary() -> None:
    mask = np.zeros((15, 9, 9), bool)
    mask[:8] = True

    inside = band(mask)

    assert np.flatnonzero(inside[:, 4, 4]).tolist() == [6, 7, 8, 9]


def test_growing_a_mask_is_a_dilation_wherever_it_lies(rng: np.random.Generator) -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[0:3, 4:6, 9:12] = rng.random((3, 2, 3)) < 0.7

    assert np.array_equal(grown(mask), ndimage.binary_dilation(mask, iterations=2))
    assert not grown(np.zeros_like(mask)).any()


def test_auroc_counts_pairs_and_half_of_ties(rng: np.random.Generator) -> None:
    score, positive = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.3

    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    assert auroc(score, positive) == pytest.approx(float(np.mean(pairs)))
    assert math.isnan(auroc(score, np.zeros(60, bool)))


def test_augrc_of_failures_is_the_closed_form_of_the_paper(rng: np.random.Generator) -> None:
    score, failed = rng.integers(0, 20, 50).astype(float), rng.random(50) < 0.3

    a = failed.mean()
    assert augrc(score, failed.astype(float)) == pytest.approx((1 - auroc(score, failed)) * a * (1 - a) + a**2 / 2)


def test_selective_risk_is_that_of_a_loop_over_coverages(rng: np.random.Generator) -> None:
    score, loss = rng.random(30), rng.random(30)

    ordered = loss[np.argsort(score)]
    assert aurc(score, loss) == pytest.approx(np.mean([ordered[:k].mean() for k in range(1, 31)]))


def test_cases_of_equal_score_carry_the_mean_over_their_orders() -> None:
    score, loss = np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.8])

    orders = [aurc(np.array([0.0, 1.0, 2.0]), loss[list(order)]) for order in ((0, 1, 2), (0, 2, 1))]
    assert aurc(score, loss) == pytest.approx(np.mean(orders))


def test_the_interval_of_a_mean_over_subjects_is_that_of_the_normal_law(rng: np.random.Generator) -> None:
    values = rng.standard_normal(200).tolist()

    low, high = subject_interval(values, lambda drawn: float(np.mean(drawn)))

    half = 1.96 * np.std(values) / math.sqrt(200)
    assert (low, high) == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=0.02)
