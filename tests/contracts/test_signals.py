"""Every signal of the gate keeps the same promises; each agrees with a slow, obvious computation of itself."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from tests.triage.gate.scenes import (
    GOOD_QUALITY,
    USUAL,
    a_small_prediction,
    ball_labels,
    far_from_boundary,
    padded,
    signals_of,
)
from triage.anatomy import BRAIN, N_CLASSES
from triage.findings import FINDINGS
from triage.gate.signals import FAR_MM, PATCH_MM, SIGNALS, Evidence
from triage.gate.wording import WORDING, Action
from triage.prediction import Prediction

every_signal = pytest.mark.parametrize("name", SIGNALS)


def with_entropy(prediction: Prediction, factor: float) -> Prediction:
    return replace(prediction, entropy=(prediction.entropy * factor).astype(np.float32))


def with_volume_spread(prediction: Prediction, factor: float) -> Prediction:
    mean = prediction.volumes_mm3.mean(axis=0)
    return replace(prediction, volumes_mm3=mean + factor * (prediction.volumes_mm3 - mean))


WORSE: dict[str, Callable[[Prediction], Prediction]] = {
    "boundary_entropy": lambda p: with_entropy(p, 1.5),
    "interior_entropy": lambda p: with_entropy(p, 1.5),
    "worst_patch": lambda p: with_entropy(p, 1.5),
    "sample_disagreement": lambda p: replace(p, pairwise_dice=p.pairwise_dice - 0.1),
    "volume_spread": lambda p: with_volume_spread(p, 2.0),
    "prior_conflict": lambda p: replace(p, atlas_log_bayes_factor=p.atlas_log_bayes_factor - 0.1),
    "focal_conflict": lambda p: replace(p, conflict=p.conflict + np.float32(0.1)),
    "feature_density": lambda p: replace(p, feature_distance=p.feature_distance + 1),
    "input_quality": lambda p: replace(p, quality={**p.quality, "snr": 2.0}),
    "finding_entropy": lambda p: replace(p, finding_samples=np.full_like(p.finding_samples, 1 / len(FINDINGS))),
}
"""For every signal, a change of the prediction that it must see."""


def noisy_prediction(shape: tuple[int, int, int] = (17, 15, 16), *, seed: int = 0) -> Prediction:
    """Blocks of random classes with random maps, brain at every side of the grid."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, N_CLASSES, [-(-n // 8) for n in shape]).astype(np.uint8)
    labels = np.kron(blocks, np.ones((8, 8, 8), np.uint8))[tuple(slice(n) for n in shape)]
    maps = {name: rng.random(shape).astype(np.float32) for name in ("entropy", "conflict")}
    return a_small_prediction(labels, **maps)


def worst_patch_by_loop(values: np.ndarray, brain: np.ndarray) -> float:
    """Largest sum over a 10 mm cube around a brain voxel, over the cube's size; nothing lies beyond brain or grid."""
    low, high = PATCH_MM // 2, PATCH_MM - PATCH_MM // 2
    inside = np.where(brain, values, 0).astype(np.float64)
    sums = [
        inside[tuple(slice(max(0, n - low), n + high) for n in index)].sum() / PATCH_MM**3
        for index in np.argwhere(brain)
    ]
    return float(max(sums))


@every_signal
def test_every_signal_has_words_for_a_reader(name: str) -> None:
    wording = WORDING[name]

    assert wording.title and wording.meaning.endswith(".") and wording.how.endswith(".")
    assert wording.action in Action


@every_signal
@pytest.mark.parametrize("by", [((7, 0), (0, 5), (3, 3)), ((1, 1), (40, 2), (0, 30))])
@pytest.mark.parametrize("scene", [a_small_prediction, noisy_prediction])
def test_zero_padding_changes_no_signal(
    name: str, by: tuple[tuple[int, int], ...], scene: Callable[[], Prediction]
) -> None:
    prediction = scene()

    assert signals_of(padded(prediction, by))[name] == signals_of(prediction)[name]


@every_signal
def test_a_prediction_without_brain_gives_nan_never_a_number_that_passes(name: str) -> None:
    only_csf = np.minimum(ball_labels(), 1)

    assert math.isnan(signals_of(a_small_prediction(only_csf))[name])


@every_signal
def test_each_signal_is_larger_for_a_worse_prediction(name: str) -> None:
    good = a_small_prediction()
    worse = WORSE[name](good)

    assert signals_of(worse)[name] > signals_of(good)[name]


@every_signal
def test_each_signal_repeats_to_the_last_bit(name: str) -> None:
    first, second = signals_of(noisy_prediction())[name], signals_of(noisy_prediction())[name]

    assert first == second and isinstance(first, float)


@every_signal
def test_no_signal_changes_the_prediction(name: str) -> None:
    prediction = noisy_prediction()
    for array in (prediction.labels, prediction.entropy, prediction.conflict, prediction.volumes_mm3):
        array.flags.writeable = False

    assert math.isfinite(SIGNALS[name](Evidence(prediction=prediction, usual_entropy=USUAL)))


@every_signal
@given(
    bad=st.sampled_from([math.nan, math.inf, -math.inf]),
    samples=st.integers(0, 3),
    quality=st.sampled_from([{}, {"snr": math.nan}, GOOD_QUALITY]),
    shape=st.tuples(*[st.integers(1, 4)] * 3),
)
@settings(max_examples=20, deadline=None)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_signal_raises_whatever_the_numbers(
    name: str, bad: float, samples: int, quality: dict[str, float], shape: tuple[int, int, int]
) -> None:
    labels = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape) % N_CLASSES
    prediction = a_small_prediction(
        labels,
        entropy=np.full(shape, bad, np.float32),
        conflict=np.full(shape, bad, np.float32),
        volumes_mm3=np.full((samples, N_CLASSES), bad),
        pairwise_dice=bad,
        finding_samples=np.full((samples, len(FINDINGS)), bad),
        feature_distance=bad,
        atlas_log_bayes_factor=bad,
        quality=quality,
    )

    assert isinstance(signals_of(prediction)[name], float)


@pytest.mark.parametrize("seed", range(5))
def test_distance_is_the_city_block_distance_to_the_nearest_boundary(seed: int) -> None:
    prediction = noisy_prediction((20, 17, 23), seed=seed)
    evidence = Evidence(prediction=prediction, usual_entropy=USUAL)

    np.testing.assert_array_equal(evidence.distance, far_from_boundary(prediction.labels)[evidence.box])


def test_boundary_voxels_are_those_with_a_neighbour_of_another_class() -> None:
    prediction = noisy_prediction()
    labels = np.pad(prediction.labels, 1)
    by_loop = np.zeros(prediction.labels.shape, bool)
    for i, j, k in np.ndindex(by_loop.shape):
        here = labels[i + 1, j + 1, k + 1]
        near = [labels[i + 1 + a, j + 1, k + 1] for a in (-1, 1)]
        near += [labels[i + 1, j + 1 + a, k + 1] for a in (-1, 1)]
        near += [labels[i + 1, j + 1, k + 1 + a] for a in (-1, 1)]
        by_loop[i, j, k] = any(n != here for n in near)

    np.testing.assert_array_equal(Evidence(prediction=prediction, usual_entropy=USUAL).distance == 0, by_loop)


def test_boundary_entropy_is_the_entropy_of_the_brain_per_boundary_voxel() -> None:
    prediction = noisy_prediction()
    brain = np.isin(prediction.labels, BRAIN)
    on_boundary = brain & (far_from_boundary(prediction.labels) == 0)
    expected = prediction.entropy[brain].sum(dtype=np.float64) / on_boundary.sum()

    assert signals_of(prediction)["boundary_entropy"] == pytest.approx(expected, rel=1e-5)


def test_interior_entropy_is_the_mean_farther_than_2_mm_from_any_boundary() -> None:
    entropy = np.random.default_rng(0).random(ball_labels().shape).astype(np.float32)
    prediction = a_small_prediction(entropy=entropy)
    interior = np.isin(prediction.labels, BRAIN) & (far_from_boundary(prediction.labels) > 2)
    expected = entropy[interior].mean(dtype=np.float64)

    assert signals_of(prediction)["interior_entropy"] == pytest.approx(expected, rel=1e-5)


def test_worst_patch_is_the_largest_patch_mean_of_entropy_above_what_is_usual() -> None:
    prediction = noisy_prediction((13, 12, 14), seed=1)
    excess = prediction.entropy - USUAL[far_from_boundary(prediction.labels)]
    expected = worst_patch_by_loop(excess, np.isin(prediction.labels, BRAIN))

    assert signals_of(prediction)["worst_patch"] == pytest.approx(expected, rel=1e-4)


def test_entropy_that_is_usual_everywhere_makes_no_patch_bad() -> None:
    prediction = a_small_prediction()  # its entropy is the usual one at every distance

    assert signals_of(prediction)["worst_patch"] == pytest.approx(0, abs=1e-6)


def test_focal_conflict_is_the_largest_patch_mean_of_conflict() -> None:
    prediction = noisy_prediction((13, 12, 14), seed=2)
    expected = worst_patch_by_loop(prediction.conflict, np.isin(prediction.labels, BRAIN))

    assert signals_of(prediction)["focal_conflict"] == pytest.approx(expected, rel=1e-4)


def normal_volumes(mean_mm3: float, sd: float, n: int = 400) -> np.ndarray:
    """n volumes at the quantiles of a normal distribution; sd relative to the mean."""
    return mean_mm3 * (1 + sd * norm.ppf((np.arange(n) + 0.5) / n))


def test_volume_spread_is_the_largest_coefficient_of_variation_of_what_is_not_tiny() -> None:
    volumes = np.zeros((400, N_CLASSES))
    volumes[:, 3] = normal_volumes(1e6, 0.1)
    volumes[:, 5] = normal_volumes(1e4, 0.2)
    volumes[:, 7] = normal_volumes(100, 0.3)  # 0.1 ml: too small to tell
    volumes[:, 11] = normal_volumes(1e4, 0.3)  # lesion: false voxels
    volumes[:, 0] = normal_volumes(1e6, 0.3)  # background is no structure

    assert signals_of(a_small_prediction(volumes_mm3=volumes))["volume_spread"] == pytest.approx(0.2, rel=0.01)


def test_one_posterior_sample_far_out_does_not_set_the_spread() -> None:
    volumes = np.zeros((32, N_CLASSES))
    volumes[:, 5] = normal_volumes(1e4, 0.02, 32)
    usual = signals_of(a_small_prediction(volumes_mm3=volumes))["volume_spread"]
    volumes[-1, 5] = 5e4

    assert signals_of(a_small_prediction(volumes_mm3=volumes))["volume_spread"] == pytest.approx(usual)


def test_a_volume_that_is_not_a_number_is_not_taken_for_an_absent_structure() -> None:
    volumes = a_small_prediction().volumes_mm3.copy()
    volumes[0, 5] = math.nan

    assert math.isnan(signals_of(a_small_prediction(volumes_mm3=volumes))["volume_spread"])


def test_one_posterior_sample_has_no_spread_to_tell() -> None:
    one = a_small_prediction().volumes_mm3[:1]

    assert math.isnan(signals_of(a_small_prediction(volumes_mm3=one))["volume_spread"])


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"edge_contact_cm2": 10.0}, 2.0),  # twice the 5 cm2 that are good enough
        ({"largest_spacing_mm": 6.0}, 2.0),  # twice 3 mm
        ({"snr": 5.0}, 2.0),  # half of 10
        ({"snr": math.nan, "largest_spacing_mm": 3.0}, 1.0),  # no air to measure noise in
        ({"edge_contact_cm2": math.nan}, math.nan),
        ({"largest_spacing_mm": math.nan}, math.nan),
        ({"snr": 0.0, "edge_contact_cm2": math.nan}, math.nan),
    ],
)
def test_input_quality_is_the_worst_shortcoming_relative_to_what_is_good_enough(
    facts: dict[str, float], expected: float
) -> None:
    value = signals_of(a_small_prediction(quality={**GOOD_QUALITY, **facts}))["input_quality"]

    assert value == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("missing", ["snr", "edge_contact_cm2", "largest_spacing_mm"])
def test_a_fact_of_the_input_that_is_missing_is_not_taken_for_a_good_one(missing: str) -> None:
    facts = {name: value for name, value in GOOD_QUALITY.items() if name != missing}

    assert math.isnan(signals_of(a_small_prediction(quality=facts))["input_quality"])


def test_the_scalar_signals_are_the_engines_own_numbers_turned_so_that_larger_is_worse() -> None:
    prediction = a_small_prediction(pairwise_dice=0.9, atlas_log_bayes_factor=0.3, feature_distance=1.7)
    signals = signals_of(prediction)

    assert signals["sample_disagreement"] == pytest.approx(0.1)
    assert signals["prior_conflict"] == -0.3
    assert signals["feature_density"] == 1.7


def test_distances_are_told_apart_up_to_the_interior() -> None:
    assert set(np.unique(far_from_boundary(ball_labels()))) == set(range(FAR_MM + 1))
