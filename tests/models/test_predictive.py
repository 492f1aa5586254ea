"""The posterior predictive against brute force: every voxel, every sample, in double precision."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import predictive
from models.network import SUBVOXELS
from models.posteriors.point import PointPosterior
from models.predictive import augment, cell_probability, fused, predict, unfold
from models.priors.fusion import fuse

C, F = 5, 4
BRAIN = torch.tensor([False, False, True, True, True])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    features: Tensor
    mean: Tensor
    samples: Tensor
    ratio: Tensor

    def predict(self) -> predictive.Predictive:
        return predict(self.features, self.mean, self.samples, self.ratio, BRAIN)


def problem(
    *, n: int = 60, samples: int = 6, scale: float = 1.0, spread: float = 0.4, seed: int = 0, alike: bool = False
) -> Problem:
    """alike: the eight voxels of a cell have about the same logits, so that whole cells are certain."""
    generator = torch.Generator().manual_seed(seed)
    mean = scale * torch.randn(SUBVOXELS * C, F + 1, generator=generator)
    if alike:
        mean = 0.05 * mean + mean[::SUBVOXELS].repeat_interleave(SUBVOXELS, dim=0)
    return Problem(
        features=augment(torch.randn(F, n, generator=generator)),
        mean=mean,
        samples=mean + spread * torch.randn(samples, *mean.shape, generator=generator),
        ratio=torch.exp(torch.randn(C - 1, n, generator=generator)),
    )


def probability(p: Problem, head: Tensor, *, prior: bool = True) -> np.ndarray:
    """Softmax and the healthy-tissue rule as written in the paper's terms, one voxel at a time: (C, 8, N) float64."""
    features, weights, ratio = (t.double().numpy() for t in (p.features, head, p.ratio))
    out = np.zeros((C, SUBVOXELS, features.shape[1]))
    for voxel in range(SUBVOXELS):
        for cell in range(features.shape[1]):
            scores = np.array([weights[c * SUBVOXELS + voxel] @ features[:, cell] for c in range(C)])
            q = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
            if prior:
                healthy = q[:-1] / (1 - q[-1]) * ratio[:, cell]
                q = np.append((1 - q[-1]) * healthy / healthy.sum(), q[-1])
            out[:, voxel, cell] = q
    return out


def entropy_of(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p)).sum(axis=0)


@pytest.fixture
def every_voxel(monkeypatch):
    """No voxel is certain enough to be left out."""
    monkeypatch.setattr(predictive, "ACTIVE_NATS", 0.0)


@pytest.fixture
def small_chunks(monkeypatch):
    """Several chunks, and a last one that is shorter."""
    monkeypatch.setattr(predictive, "DENSE_CELLS", 16)
    monkeypatch.setattr(predictive, "SAMPLED_VOXELS", 7)


@pytest.mark.usefixtures("every_voxel", "small_chunks")
class TestEveryVoxelSampled:
    p = problem()
    draws = np.stack(list(map(probability, [p] * len(p.samples), p.samples)))

    def test_labels_are_the_argmax_of_the_mean_probability(self):
        labels = self.p.predict().labels.numpy()

        np.testing.assert_array_equal(labels, self.draws.mean(axis=0).argmax(axis=0))

    def test_entropy_is_that_of_the_mean_probability(self):
        np.testing.assert_allclose(self.p.predict().entropy, entropy_of(self.draws.mean(axis=0)), atol=1e-5)

    def test_expected_entropy_is_the_mean_over_samples(self):
        expected = np.mean([entropy_of(d) for d in self.draws], axis=0)

        np.testing.assert_allclose(self.p.predict().expected_entropy, expected, atol=1e-5)

    def test_volumes_are_the_sums_of_probability_under_each_sample(self):
        np.testing.assert_allclose(self.p.predict().volumes, self.draws.sum(axis=(2, 3)), rtol=1e-4)

    def test_pairwise_dice_is_the_soft_dice_of_pairs_of_samples_averaged_over_brain_classes(self):
        pairs = zip(self.draws[0::2], self.draws[1::2], strict=True)
        dice = [2 * (a[c] * b[c]).sum() / ((a[c] ** 2).sum() + (b[c] ** 2).sum()) for a, b in pairs for c in (2, 3, 4)]

        assert self.p.predict().pairwise_dice == pytest.approx(np.mean(dice), abs=1e-5)


@pytest.mark.usefixtures("small_chunks")
class TestCertainVoxelsLeftOut:
    """The default: a voxel whose class no likely sample can change is not sampled."""

    p = problem(n=400, scale=4.0, spread=0.15)
    point = probability(p, p.mean)
    sd = (0.15 * np.linalg.norm(p.features.numpy(), axis=0))[None]
    log_odds = np.log(point.max(axis=0)) - np.log(np.maximum(1 - point.max(axis=0), 1e-300))
    certain = (entropy_of(point) < 0.9 * predictive.ACTIVE_NATS) & (log_odds > 1.5 * predictive.SAFE_SDS * sd)
    open = (entropy_of(point) > 1.1 * predictive.ACTIVE_NATS) | (log_odds < 0.6 * predictive.SAFE_SDS * sd)

    def test_the_problem_has_voxels_of_both_kinds(self):
        assert self.certain.mean() > 0.1
        assert self.open.mean() > 0.1

    def test_the_fraction_sampled_lies_between_what_must_be_and_what_may_be(self):
        assert self.open.mean() <= self.p.predict().sampled <= 1 - self.certain.mean()

    def test_a_voxel_left_out_keeps_its_point_entropy_and_has_no_mutual_information(self):
        result = self.p.predict()

        np.testing.assert_allclose(result.entropy[self.certain], entropy_of(self.point)[self.certain], atol=1e-4)
        assert torch.equal(result.entropy[self.certain], result.expected_entropy[self.certain])

    def test_a_sampled_voxel_is_as_exact_as_when_every_voxel_is_sampled(self, monkeypatch):
        default = self.p.predict()
        monkeypatch.setattr(predictive, "ACTIVE_NATS", 0.0)
        full = self.p.predict()

        assert torch.equal(default.labels[self.open], full.labels[self.open])
        torch.testing.assert_close(default.entropy[self.open], full.entropy[self.open])

    def test_what_is_left_out_is_within_the_bound_of_what_sampling_it_would_give(self, monkeypatch):
        default, bound = self.p.predict(), predictive.ACTIVE_NATS
        monkeypatch.setattr(predictive, "ACTIVE_NATS", 0.0)
        full = self.p.predict()

        assert float((default.entropy - full.entropy).abs().max()) <= bound
        assert torch.equal(default.labels, full.labels)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 8), spread=st.floats(0, 3), samples=st.integers(0, 5))
def test_expected_entropy_is_at_most_predictive_entropy_which_is_at_most_log_c(seed, scale, spread, samples):
    result = problem(n=12, samples=samples, scale=scale, spread=spread, seed=seed).predict()

    assert bool((result.expected_entropy >= 0).all())
    assert bool((result.expected_entropy <= result.entropy).all())
    assert float(result.entropy.max()) <= math.log(C) + 1e-5


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


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 10), ratio_scale=st.floats(0, 3))
def test_the_fused_rule_is_the_fusion_of_the_softmax_and_its_entropy_is_minus_sum_p_log_p(seed, scale, ratio_scale):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(C, SUBVOXELS, 9, generator=generator)
    logits = logits - logits.amax(dim=0)
    ratio = torch.exp(ratio_scale * torch.randn(C - 1, 9, generator=generator))

    p, entropy = fused(logits, ratio[:, None])

    torch.testing.assert_close(p, fuse(torch.softmax(logits, dim=0), ratio[:, None]), atol=1e-5, rtol=1e-4)
    exact = fuse(torch.softmax(logits.double(), dim=0), ratio.double()[:, None])
    torch.testing.assert_close(entropy.double(), torch.special.entr(exact).sum(dim=0), atol=2e-5, rtol=1e-4)


def test_the_probability_of_a_cell_is_the_mean_over_its_eight_voxels(monkeypatch):
    monkeypatch.setattr(predictive, "DENSE_CELLS", 16)
    p = problem()

    expected = probability(p, p.mean, prior=False).mean(axis=1)

    np.testing.assert_allclose(cell_probability(p.features, p.mean), expected, atol=1e-6)


def test_unfold_puts_subvoxel_abc_of_cell_ijk_at_2i_plus_a_2j_plus_b_2k_plus_c():
    cells = torch.rand(8, 3 * 2 * 4)

    image = unfold(cells, (3, 2, 4))

    for i, j, k in np.ndindex(3, 2, 4):
        for a, b, c in np.ndindex(2, 2, 2):
            assert image[2 * i + a, 2 * j + b, 2 * k + c] == cells[4 * a + 2 * b + c, (i * 2 + j) * 4 + k]


def test_augmenting_flattens_the_grid_and_adds_a_row_of_ones():
    features = torch.rand(F, 2, 3, 4)

    out = augment(features)

    assert torch.equal(out[:-1], features.view(F, 24))
    assert torch.equal(out[-1], torch.ones(24))
