"""The compiled inner loops against numpy and the rule in double precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from models.predictive import HELD
from models.predictive.compiled import BLOCK, LOWEST, exp2, fill_healthy, fill_lesion, log2, row
from models.predictive.point import point

from .problems import entropy_of, probability, problem, under_each_sample


def test_exp2_is_the_power_of_two():
    x = np.linspace(LOWEST, 127, 100_001, dtype=np.float32)

    found = np.array([exp2(each) for each in x])

    np.testing.assert_allclose(found, np.exp2(x.astype(np.float64)), rtol=3e-7)


def test_log2_is_the_logarithm_to_two():
    x = np.concatenate([np.exp2(np.linspace(-126, 127, 50_001)), np.linspace(0.5, 2, 50_001)]).astype(np.float32)

    found = np.array([log2(each) for each in x])

    np.testing.assert_allclose(found, np.log2(x.astype(np.float64)), rtol=3e-7, atol=3e-7)
    assert log2(np.float32(1)) == 0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0, 60),
    temperature=st.floats(0.5, 3),
    classes=st.integers(1, 5),
    start=st.sampled_from([0, BLOCK]),
)
def test_a_block_of_voxels_has_the_rule_of_softmax_temperature_and_prior(seed, scale, temperature, classes, start):
    rng = np.random.default_rng(seed)
    odds = (scale * rng.standard_normal((classes, 3, BLOCK + 9))).astype(np.float32)
    n = min(BLOCK, odds.shape[2] - start)
    log_ratio = rng.standard_normal((classes, n)).astype(np.float32)
    power = np.empty((classes, n), np.float32)
    p, log_p, rest, top, z, t = (row()[:n] for _ in range(6))

    fill_lesion(odds, 1, start, np.float32(temperature), p, log_p, rest, top)
    fill_healthy(odds, 1, start, log_ratio, power, top, z, t)

    nats = math.log(2) * np.pad(odds[:, 1, start : start + n].astype(np.float64), ((1, 0), (0, 0)))
    lesion = special.log_softmax(nats * np.float32(temperature), axis=0)
    np.testing.assert_allclose(p, np.exp(lesion[-1]), rtol=2e-4, atol=1e-7)
    bits = lesion[-1] / math.log(2)
    np.testing.assert_allclose(np.maximum(log_p, LOWEST), np.maximum(bits, LOWEST), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(rest, np.exp(lesion[:-1]).sum(axis=0), rtol=2e-4, atol=1e-7)
    healthy = special.softmax(nats[:-1] + math.log(2) * log_ratio, axis=0)
    np.testing.assert_allclose(power / z, healthy, rtol=2e-4, atol=1e-7)
    bits = -(healthy * np.log2(np.maximum(healthy, 1e-300))).sum(axis=0)
    np.testing.assert_allclose(np.log2(z) - t / z, bits, atol=1e-4)


def test_images_of_many_blocks_have_the_maps_of_brute_force():
    p = problem(n=2 * BLOCK + 3, samples=10, temperature=1.4)
    exact, draws = probability(p, p.mean), under_each_sample(p)

    start = point(p.features, p.mean, p.ratio, p.samples - p.mean, held=0.0, temperature=1.4)
    found = p.predict(held=0.0)

    np.testing.assert_array_equal(start.labels, exact.argmax(axis=0))
    np.testing.assert_allclose(start.entropy, entropy_of(exact), atol=2e-5)
    np.testing.assert_array_equal(found.labels, draws.mean(axis=0).argmax(axis=0))
    np.testing.assert_allclose(found.entropy, entropy_of(draws.mean(axis=0)), atol=2e-5)
    np.testing.assert_allclose(found.expected_entropy, np.mean([entropy_of(d) for d in draws], axis=0), atol=2e-5)


def test_what_is_not_a_number_is_certain_of_nothing():
    p = problem(n=20, samples=10)
    p.features[0, 7] = math.nan

    found = p.predict(held=HELD)

    assert torch.isnan(found.entropy[:, 7]).all()
    assert torch.isfinite(found.entropy[:, :7]).all()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("threads", [1, 3])
def test_the_maps_do_not_depend_on_the_number_of_threads(threads):
    p = problem(n=100, samples=10, temperature=1.4)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = p.predict()
    finally:
        torch.set_num_threads(before)

    assert torch.equal(found.entropy, p.predict().entropy)
