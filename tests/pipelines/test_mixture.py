import math

import numpy as np
import pytest

from pipelines.degrade import LEVELS
from pipelines.mixture import (
    CLEAN,
    LEVEL_SHARES,
    RADIUS_MM,
    SHARES,
    TUNED_LEVELS,
    WHITE,
    Damage,
    damaged,
    dealt,
    draw,
    with_lesion,
)
from tests.phantoms import centred_affine, phantom_image, phantom_labels
from triage.anatomy import BRAIN
from triage.case import Volume


@pytest.fixture(scope="module")
def scan():
    labels = phantom_labels()
    return Volume(array=phantom_image(labels), affine=centred_affine(labels.shape, (2.0, 2.0, 2.0))), labels


def test_what_is_drawn_is_the_stated_mixture():
    n = 4000
    drawn = [draw(f"subject {k}") for k in range(n)]
    for kind, share in SHARES.items():
        assert abs(sum(d.kind == kind for d in drawn) - share * n) < 4 * math.sqrt(n * share * (1 - share))
    damaged_ones = [d.level for d in drawn if d.kind != CLEAN]
    for level, share in zip(LEVELS, LEVEL_SHARES, strict=True):
        m = len(damaged_ones)

        assert abs(damaged_ones.count(level) - share * m) < 4 * math.sqrt(m * share * (1 - share))

    assert sum(SHARES.values()) == pytest.approx(1) == sum(LEVEL_SHARES)


def test_a_subject_draws_the_same_whoever_else_is_in_the_table():
    assert [draw("b"), draw("a")] == [draw(s) for s in ("b", "a")]
    assert draw("a").seed != draw("b").seed


def test_every_kind_is_dealt_once_at_each_tuned_level():
    hands = dealt([f"s{k}" for k in range(11)])

    assert sorted((d.kind, d.level) for _, d in hands) == sorted(
        (k, n) for k in SHARES if k != CLEAN for n in TUNED_LEVELS
    )
    assert {subject for subject, _ in hands} == {f"s{k}" for k in range(11)}


@pytest.mark.parametrize("kind", SHARES)
def test_a_damage_repeats_and_a_clean_scan_stays_as_it_is(kind, scan):
    volume, labels = scan
    damage = Damage(kind=kind, level=0 if kind == CLEAN else 3, seed=1)

    first, again = damaged(volume, labels, damage), damaged(volume, labels, damage)

    assert np.array_equal(first.volume.array, again.volume.array)
    assert (first.volume is volume) is (kind == CLEAN)


@pytest.mark.parametrize("radius", RADIUS_MM)
def test_a_lesion_is_dark_lies_in_the_brain_and_has_about_its_size(radius, scan):
    volume, labels = scan
    made = with_lesion(volume, labels, radius, np.random.default_rng(3))
    changed = np.abs(made.volume.array - volume.array) > 0.05

    assert np.isin(labels[made.lesion], BRAIN).all()
    assert made.volume.array[made.lesion].mean() < 0.8 * np.median(volume.array[labels == WHITE])
    assert made.lesion.sum() * 8 < 3 * (4 / 3 * math.pi * radius**3) + 8
    assert (made.lesion & changed).any()
    reach = np.argwhere(made.lesion)
    assert np.abs(np.argwhere(changed) - reach.mean(axis=0)).max() < np.ptp(reach, axis=0).max() + 4
