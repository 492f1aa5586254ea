import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.compare import GRADED
from pipelines.failure import CLEAN_BEYOND, DICE, LESION_MM, PLAIN, VOLUME, Measured, failures, habits, measure, missed
from tests.builders import a_prediction
from triage.anatomy import LESION

KEY = "deep_grey"


def seen(dice=0.9, ratio=1.0, key=KEY, **changes):
    """A good case but for one structure."""
    return Measured(
        dice=dict.fromkeys(GRADED, 0.95) | {key: dice},
        volume_ratio=dict.fromkeys(GRADED, 1.0) | {key: ratio},
        **changes,
    )


@pytest.mark.parametrize(
    ("case", "fails"),
    [
        (seen(), False),
        (seen(dice=DICE), False),
        (seen(dice=0.79), True),
        (seen(dice=math.nan), True),
        (seen(ratio=1.099), False),
        (seen(ratio=1.11), True),
        (seen(ratio=0.89), True),
        (seen(ratio=math.nan), True),
        (seen(lesions=3, missed=1), False),
    ],
)
def test_measurements_fail_by_a_structure_or_a_volume(case, fails):
    assert bool(failures(case, PLAIN)) is fails


def test_a_failure_says_what_is_wrong():
    case = seen(dice=0.5, ratio=1.5, lesions=2, missed=1)

    assert failures(case, PLAIN) == ("deep grey: Dice 0.50, under 0.80", "deep grey: volume +50%, over 10%")
    assert missed(case) == ("1 of 2 lesions missed",)
    assert missed(seen(lesions=2)) == ()


def test_a_habit_of_the_labels_is_no_failure_of_the_network():
    clean = [seen(dice=d, ratio=r) for d, r in ((0.70, 1.40), (0.72, 1.44), (0.74, 1.42))]

    usual = habits({"manual": clean})["manual"]

    assert not any(failures(case, usual) for case in clean)
    assert failures(seen(dice=0.70, ratio=1.0), usual)
    assert failures(clean[0], PLAIN)


def test_limits_are_never_stricter_than_the_plain_ones():
    usual = habits({"manual": [seen(dice=0.95, ratio=1.0)] * 4})["manual"]

    assert {(h.dice, h.off) for h in usual.values()} == {(DICE, VOLUME)}


def test_the_limit_is_the_prediction_limit_of_students_t():
    values = [0.70, 0.72, 0.76]
    expected = np.mean(values) - stats.t.ppf(1 - CLEAN_BEYOND, 2) * np.std(values, ddof=1) * math.sqrt(4 / 3)

    assert habits({"one": [seen(dice=d) for d in values]})["one"][KEY].dice == pytest.approx(expected)


def test_two_sources_share_their_spread_and_not_their_mean():
    known = habits({"few": [seen(dice=0.60)], "many": [seen(dice=d) for d in (0.70, 0.72, 0.74)]})

    far = stats.t.ppf(1 - CLEAN_BEYOND, 2) * 0.02
    assert known["many"][KEY].dice == pytest.approx(0.72 - far * math.sqrt(4 / 3))
    assert known["few"][KEY].dice == pytest.approx(0.60 - far * math.sqrt(2))


def test_a_clean_scan_without_a_structure_is_no_habit_and_fails():
    clean = [seen(ratio=1.0), seen(ratio=1.02)]
    lost = seen(dice=0.0, ratio=0.0)

    assert habits({"one": [*clean, lost], "lost": [lost, lost]}) == habits({"one": clean})
    assert failures(lost, habits({"one": clean})["one"])


def test_no_habit_is_known_from_one_scan_a_source():
    assert habits({"few": [seen()], "other": [seen()]}) == {}


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 2), st.floats(0.5, 2))
def test_a_worse_dice_or_volume_never_mends_a_failure(dice, worse, ratio, further):
    low = min(dice, worse)
    far = max(ratio, further) if ratio >= 1 else min(ratio, further)

    assert len(failures(seen(dice=low, ratio=far), PLAIN)) >= len(failures(seen(dice=dice, ratio=ratio), PLAIN))


def test_a_prediction_is_perfect_against_its_own_labels():
    p = a_prediction()
    voxels = np.bincount(p.labels.ravel(), minlength=LESION + 1)
    p = replace(p, volumes_mm3=np.repeat(voxels[None].astype(float), 4, axis=0) * abs(np.linalg.det(p.affine[:3, :3])))

    found = measure(p, p.labels, p.affine)

    assert set(found.dice.values()) == {1.0}
    assert list(found.volume_ratio.values()) == pytest.approx([1.0] * len(GRADED))


def test_what_lies_outside_of_a_cropped_field_of_view_counts_as_missed():
    p = a_prediction()
    half = p.labels.shape[1] // 2
    maps = ("image", "labels", "entropy", "expected_entropy", "conflict")
    cropped = replace(p, **{name: getattr(p, name)[:, :half] for name in maps})

    found = measure(cropped, p.labels, p.affine)

    kept = {
        key: np.count_nonzero(p.labels[:, :half] == c) / np.count_nonzero(p.labels == c) for key, c in GRADED.items()
    }
    assert found.dice == pytest.approx({key: 2 * share / (1 + share) for key, share in kept.items()})


def test_a_lesion_is_found_where_a_tenth_of_it_is_called_lesion_and_specks_do_not_count():
    p = a_prediction()
    side = math.ceil(LESION_MM / min(np.linalg.norm(p.affine[:3, :3], axis=0)))
    lesions = np.zeros(p.labels.shape, bool)
    lesions[2 : 2 + side, 2 : 2 + side, 2 : 2 + side] = True  # where the phantom has none
    lesions[-2, -2, -2] = True
    lesions |= p.labels == LESION

    found = measure(p, p.labels, p.affine, lesions)

    assert (found.lesions, found.missed) == (2, 1)
