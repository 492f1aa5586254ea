"""The posterior predictive against brute force: every voxel, every sample, in double precision."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.network import SUBVOXELS
from models.posteriors.point import PointPosterior
from models.predictive import HELD, predict

from .problems import BRAIN, C, entropy_of, probability, problem, under_each_sample


@pytest.mark.usefixtures("small_chunks")
class TestNothingHeld:
    p = problem(samples=10, temperature=1.4)
    draws = under_each_sample(p)

    def test_labels_are_the_argmax_of_the_mean_probability(self):
        labels = self.p.predict(held=0.0).labels.numpy()

        np.testing.assert_array_equal(labels, self.draws.mean(axis=0).argmax(axis=0))

    def test_entropy_is_that_of_the_mean_probability(self):
        np.testing.assert_allclose(self.p.predict(held=0.0).entropy, entropy_of(self.draws.mean(axis=0)), atol=2e-5)

    def test_expected_entropy_is_the_mean_over_samples(self):
        expected = np.mean([entropy_of(d) for d in self.draws], axis=0)

        np.testing.assert_allclose(self.p.predict(held=0.0).expected_entropy, expected, atol=2e-5)

    def test_volumes_are_the_sums_of_probability_under_each_sample(self):
        np.testing.assert_allclose(self.p.predict(held=0.0).volumes, self.draws.sum(axis=(2, 3)), rtol=1e-4)

    def test_pairwise_dice_is_the_soft_dice_averaged_over_all_pairs_of_samples_and_brain_classes(self):
        pairs = itertools.combinations(self.draws, 2)
        dice = [2 * (a[c] * b[c]).sum() / ((a[c] ** 2).sum() + (b[c] ** 2).sum()) for a, b in pairs for c in (2, 3, 4)]

        assert self.p.predict(held=0.0).pairwise_dice == pytest.approx(np.mean(dice), abs=1e-5)


class TestSomeHeld:
    """The default: classes that stay improbable keep the probability that they have under the mean head."""

    p = problem(n=400, samples=64, scale=2.1, spread=0.21, temperature=1.4)
    mean = probability(p, p.mean)
    draws = under_each_sample(p)
    still = (mean > 0.99 * HELD * math.exp(-4)).sum(axis=0) < 2

    def test_a_voxel_where_one_class_alone_may_move_has_no_mutual_information(self):
        result = self.p.predict()

        assert self.still.any()
        assert torch.equal(result.entropy[self.still], result.expected_entropy[self.still])

    def test_no_voxel_is_further_from_sampling_everything_than_what_is_held_can_carry(self):
        held = np.where(self.mean > HELD, 0, self.mean).sum(axis=0)
        moved = np.where(self.mean > HELD, 0, self.draws).sum(axis=1).max(axis=0)
        most = np.clip(np.maximum(held, moved), 1e-12, 1 - 1 / C)
        carried = -most * np.log(most) - (1 - most) * np.log(1 - most) + most * math.log(C)

        error = np.abs(self.p.predict().entropy.numpy() - entropy_of(self.draws.mean(axis=0)))

        assert (error <= 2 * carried + 1e-5).all()
        assert error.mean() < 2e-3

    def test_the_mean_entropy_is_no_lower_than_when_everything_is_sampled(self):
        assert float(self.p.predict().entropy.mean()) >= entropy_of(self.draws.mean(axis=0)).mean() - 2e-4

    def test_labels_are_those_of_sampling_everything(self):
        labels = self.p.predict().labels.numpy()

        np.testing.assert_array_equal(labels, self.draws.mean(axis=0).argmax(axis=0))

    def test_volumes_are_exact_all_the_same(self):
        np.testing.assert_allclose(self.p.predict().volumes, self.draws.sum(axis=(2, 3)), rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 8), spread=st.floats(0, 3), samples=st.integers(0, 5))
def test_expected_entropy_is_at_most_predictive_entropy_and_neither_is_negative(seed, scale, spread, samples):
    result = problem(n=12, samples=samples, scale=scale, spread=spread, seed=seed).predict()

    assert bool((result.expected_entropy >= 0).all())
    assert bool((result.expected_entropy <= result.entropy).all())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 8), spread=st.floats(0, 3))
def test_volumes_of_every_sample_add_up_to_the_number_of_voxels(seed, scale, spread):
    volumes = problem(n=30, scale=scale, spread=spread, seed=seed).predict().volumes

    np.testing.assert_allclose(volumes.sum(dim=1), SUBVOXELS * 30, rtol=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_the_result_is_the_same_to_the_last_bit_whatever_the_number_of_threads():
    p, before, results = problem(n=300), torch.get_num_threads(), []
    for threads in (1, 2, 4, 2):
        torch.set_num_threads(threads)
        results.append(p.predict())
    torch.set_num_threads(before)

    for other in results[1:]:
        for name in ("labels", "entropy", "expected_entropy", "volumes"):
            assert torch.equal(getattr(results[0], name), getattr(other, name)), name
        assert results[0].pairwise_dice == other.pairwise_dice


def test_without_samples_the_maps_are_the_mean_heads_and_there_are_no_volumes():
    p = problem(samples=0)

    result = p.predict()

    np.testing.assert_allclose(result.entropy, entropy_of(probability(p, p.mean)), atol=2e-5)
    assert torch.equal(result.entropy, result.expected_entropy)
    assert len(result.volumes) == 0
    assert math.isnan(result.pairwise_dice)


def test_of_few_samples_far_apart_nothing_is_held():
    p = problem(samples=3, scale=0.1, spread=2.0)

    result = p.predict()

    np.testing.assert_allclose(result.entropy, entropy_of(under_each_sample(p).mean(axis=0)), atol=2e-5)


def test_a_point_posterior_has_no_mutual_information_and_samples_that_agree():
    p = problem()
    heads = PointPosterior(mean=p.mean).sample(4, seed=0)

    result = predict(p.features, p.mean, heads, p.ratio, BRAIN)

    torch.testing.assert_close(result.entropy, result.expected_entropy, atol=1e-6, rtol=0)
    assert result.pairwise_dice == pytest.approx(1, abs=1e-6)


def test_an_image_without_brain_has_no_dice():
    p = problem()

    result = predict(p.features, p.mean, p.samples, p.ratio, torch.zeros(C, dtype=torch.bool))

    assert math.isnan(result.pairwise_dice)
