"""Where the doubt lies, on brains whose unusual entropy was put there."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.triage.gate.scenes import USUAL, a_small_prediction, ball, ball_labels, verdict_for
from triage.anatomy import BRAIN
from triage.gate.interpretation import entropy_shares, is_global, misfit, reached_slices, spots
from triage.gate.signals import Evidence
from triage.prediction import Prediction
from triage.verdict import Route, Side

CENTRE = (16.5, 17.5, 18.5)
TURNED_OVER = np.diag([-1.0, -1.0, 1.0, 1.0])
"""A registration by which the patient's right lies at low x."""


def evidence(prediction: Prediction) -> Evidence:
    return Evidence(prediction=prediction, usual_entropy=USUAL)


def with_extra(*extra: tuple[tuple[float, ...], float, float], **changes: Any) -> Prediction:
    """The good scan with more entropy in balls of (centre, radius, nats); registered by the identity."""
    good = a_small_prediction(mni_affine=np.eye(4))
    entropy = good.entropy.copy()
    for centre, radius, nats in extra:
        entropy[ball(entropy.shape, centre, radius)] += np.float32(nats)
    return replace(good, entropy=entropy, **changes)


def test_a_usual_scan_has_nothing_unusual() -> None:
    usual = evidence(a_small_prediction())

    assert entropy_shares(usual) == ()
    assert spots(usual) == ()


def test_shares_sum_to_one_and_are_those_of_the_entropy_added() -> None:
    labels = ball_labels()
    extra = np.where(labels == 2, 0.2, np.where(labels == 3, 0.5, 0)).astype(np.float32)
    good = a_small_prediction()
    volume = {c: int((labels == c).sum()) for c in (2, 3)}
    added = {2: 0.2 * volume[2], 3: 0.5 * volume[3]}

    shares = {s.structure: s for s in entropy_shares(evidence(replace(good, entropy=good.entropy + extra)))}

    assert shares["Cerebral white matter"].share == pytest.approx(added[3] / (added[2] + added[3]), rel=1e-4)
    assert shares["Cortical grey matter"].share == pytest.approx(added[2] / (added[2] + added[3]), rel=1e-4)
    assert shares["Cortical grey matter"].of_brain == pytest.approx(volume[2] / (volume[2] + volume[3]))


def test_a_structure_with_less_entropy_than_usual_holds_none_of_it() -> None:
    labels = ball_labels()
    change = np.where(labels == 2, -0.1, np.where(labels == 3, 0.3, 0)).astype(np.float32)
    good = a_small_prediction()

    (only,) = entropy_shares(evidence(replace(good, entropy=good.entropy + change)))

    assert (only.structure, only.share) == ("Cerebral white matter", 1.0)


@pytest.mark.parametrize(("to_mni", "side"), [(np.eye(4), Side.RIGHT), (TURNED_OVER, Side.LEFT)])
def test_the_side_is_the_patients_by_the_registration(to_mni: np.ndarray, side: Side) -> None:
    prediction = with_extra(((25.0, 17.5, 18.5), 3, 1.0), mni_affine=to_mni)

    assert entropy_shares(evidence(prediction))[0].side is side
    assert spots(evidence(prediction))[0].side is side


def test_doubt_on_both_sides_names_neither() -> None:
    both = with_extra(((23.0, 17.5, 18.5), 3, 1.0), ((10.0, 17.5, 18.5), 3, 1.0))

    assert entropy_shares(evidence(both))[0].side is Side.BOTH


def test_a_spot_between_the_hemispheres_is_on_the_midline() -> None:
    assert spots(evidence(with_extra((CENTRE, 3, 1.0))))[0].side is Side.MIDLINE


@pytest.mark.parametrize("factor", [-0.1, 0.0, np.nan])
def test_a_registration_that_failed_tells_no_side(factor: float) -> None:
    found = evidence(with_extra(((22.0, 17.5, 18.5), 3, 1.0), atlas_log_bayes_factor=factor))

    assert entropy_shares(found)[0].side is Side.UNKNOWN
    assert spots(found)[0].side is Side.UNKNOWN


def test_spots_come_worst_first_where_the_entropy_was_put() -> None:
    worse, milder = (23.0, 17.5, 18.5), (10.0, 17.5, 18.5)

    first, second = spots(evidence(with_extra((worse, 3, 1.5), (milder, 3, 0.8))))[:2]

    assert np.abs(np.subtract(first.place.conformed, worse)).max() <= 4
    assert np.abs(np.subtract(second.place.conformed, milder)).max() <= 4
    assert first.nats > second.nats


def test_a_spot_is_as_large_as_the_region_at_half_of_its_worst_patch() -> None:
    """A point's patch is a cube of 10 mm, whole: 1 ml."""
    point = np.zeros((34, 36, 38), np.float32)
    point[16, 17, 18] = 50
    good = a_small_prediction(labels=np.full(point.shape, 3, np.uint8))

    (spot,) = spots(evidence(replace(good, entropy=good.entropy + point)))

    assert spot.ml == pytest.approx(1.0)
    assert spot.nats == pytest.approx(50 / 1000, rel=1e-3)


WHOLE = np.full((20, 20, 80), 3, np.uint8)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slice_mm", [-3.0, -1.0, 1.0, 2.5])
def test_the_slices_reached_are_those_of_the_scanner_whose_patches_hold_the_doubt(axis: int, slice_mm: float) -> None:
    """A point's patches are those centred on the 10 voxels around it; their middles lie on these slices."""
    at = (9, 8, 11)
    good = a_small_prediction(labels=WHOLE)
    entropy = good.entropy.copy()
    entropy[at] += 50
    column, row = (a for a in range(3) if a != axis)
    scanner = np.zeros((4, 4))
    scanner[column, 0] = scanner[row, 1] = scanner[3, 3] = 1
    scanner[axis, 2] = slice_mm
    scanner[:3, 3] = good.affine[:3, 3] + np.eye(3)[axis] * (0 if slice_mm > 0 else WHOLE.shape[axis] - 1)
    grid = np.zeros((80, 80, 80), np.uint8)
    prediction = replace(
        good, entropy=entropy, scanner_affine=scanner, scanner_labels=grid, scanner_entropy=grid.astype(np.float32)
    )
    middles = good.affine[axis, 3] + np.arange(at[axis] - 4, at[axis] + 6)
    expected = np.rint((middles - scanner[axis, 3]) / slice_mm)

    found = evidence(prediction)

    assert reached_slices(found, found.excess_patches) == (expected.min(), expected.max())


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_where_nothing_is_unusual_no_slice_is_reached(value: float) -> None:
    found = evidence(a_small_prediction())

    assert reached_slices(found, np.full_like(found.excess_patches, value)) is None


def test_the_misfit_is_the_share_of_the_brain_around_which_anatomy_explains_nothing() -> None:
    half = np.where(np.arange(80) < 40, 1.0, -1.0).astype(np.float32) * np.ones(WHOLE.shape, np.float32)

    assert misfit(evidence(a_small_prediction(WHOLE, conflict=half))) == pytest.approx(0.5, abs=1 / 80)


@pytest.mark.parametrize(("radius", "everywhere"), [(3, False), (12, True)])
def test_a_misfit_in_one_place_is_not_a_global_one(radius: float, everywhere: bool) -> None:
    conflict = np.where(ball(WHOLE.shape, (10, 10, 40), radius), 3.0, -0.5).astype(np.float32)

    assert is_global(evidence(a_small_prediction(WHOLE, conflict=conflict))) is everywhere


def test_doubt_all_over_the_brain_is_one_large_spot() -> None:
    labels = ball_labels()
    good = a_small_prediction()
    everywhere = replace(good, entropy=good.entropy + np.float32(0.5))
    brain_ml = np.isin(labels, BRAIN).sum() / 1000

    first = spots(evidence(everywhere))[0]

    assert first.ml > 0.6 * brain_ml


def test_a_flagged_case_is_interpreted_and_an_accepted_one_is_not() -> None:
    flagged, accepted = verdict_for(with_extra((CENTRE, 4, 3.0))), verdict_for(a_small_prediction())

    assert flagged.route is Route.HUMAN_REVIEW
    assert flagged.interpretation is not None
    assert accepted.route is Route.ACCEPTED
    assert accepted.interpretation is None


def test_a_flagged_case_without_a_brain_has_nothing_to_interpret() -> None:
    nothing = a_small_prediction(labels=np.zeros((34, 36, 38), np.uint8))

    assert verdict_for(nothing).interpretation is None


def test_entropy_that_is_not_a_number_gives_no_shares() -> None:
    good = a_small_prediction()

    assert entropy_shares(evidence(replace(good, entropy=np.full_like(good.entropy, np.nan)))) == ()
