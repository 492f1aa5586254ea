"""Where a reader is sent first: where the doubt is, in indices and millimetres that agree."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import a_case
from tests.triage.gate.scenes import (
    SHAPE,
    SPOT,
    a_gate,
    a_small_prediction,
    ball,
    ball_labels,
    verdict_for,
)
from triage.anatomy import BRAIN, STRUCTURES
from triage.prediction import Prediction


def with_a_spot(**maps: float) -> Prediction:
    """A good prediction, with these maps raised within 4 mm of SPOT."""
    good = a_small_prediction()
    near = ball(SHAPE, SPOT, 4)
    raised = {name: (getattr(good, name) + value * near).astype(np.float32) for name, value in maps.items()}
    return replace(good, **raised)


def turned(affine_of: tuple[int, int, int], flips: tuple[int, int, int], prediction: Prediction) -> Prediction:
    """The prediction as if the scanner's grid had these axes, 0.8 x 1 x 1.7 mm, turned by 20 degrees about z."""
    shape = np.array([40, 42, 30])
    turn = np.array([[np.cos(0.35), -np.sin(0.35), 0], [np.sin(0.35), np.cos(0.35), 0], [0, 0, 1]])
    to_conformed = np.eye(3)[:, list(affine_of)] * flips * [0.8, 1.0, 1.7]
    scanner = np.eye(4)
    scanner[:3, :3] = turn @ to_conformed
    scanner[:3, 3] = [30, -20, 10] - scanner[:3, :3] @ ((shape - 1) / 2)
    conformed = np.eye(4)
    conformed[:3, :3] = turn
    conformed[:3, 3] = [30, -20, 10] - turn @ ((np.array(SHAPE) - 1) / 2)
    empty = np.zeros(shape, np.uint8)
    return replace(
        prediction,
        affine=conformed,
        scanner_affine=scanner,
        scanner_labels=empty,
        scanner_entropy=empty.astype(np.float32),
    )


@pytest.mark.parametrize("name", ["entropy", "conflict"])
def test_the_place_is_where_the_doubt_was_planted(name: str) -> None:
    verdict = verdict_for(with_a_spot(**{name: 3.0}))

    assert verdict.place is not None
    # The 4 mm ball fits into a 10 mm patch with room on each side, so many centres are equally bad.
    assert np.abs(np.subtract(verdict.place.conformed, SPOT)).max() <= 5


def test_the_place_follows_the_larger_of_the_two_doubts() -> None:
    good = a_small_prediction()
    elsewhere = tuple(n - 1 - i for n, i in zip(SHAPE, SPOT, strict=True))
    entropy = (good.entropy + 0.5 * ball(SHAPE, elsewhere, 4)).astype(np.float32)
    prediction = replace(with_a_spot(conflict=3.0), entropy=entropy)
    place = verdict_for(prediction).place

    assert place is not None
    assert np.abs(np.subtract(place.conformed, SPOT)).max() <= 5


@given(corner=st.tuples(*[st.integers(0, n - 1) for n in SHAPE]))
@settings(max_examples=20, deadline=None)
def test_the_place_lies_in_the_brain_wherever_the_map_is_worst(corner: tuple[int, int, int]) -> None:
    entropy = a_small_prediction().entropy.copy()
    entropy[corner] = 2.4
    place = verdict_for(a_small_prediction(entropy=entropy)).place

    assert place is not None
    assert ball_labels()[place.conformed] in BRAIN
    assert place.structure == STRUCTURES[ball_labels()[place.conformed] - 1].name


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", list(itertools.product((-1, 1), repeat=3)))
def test_the_places_indices_and_millimetres_agree_on_every_grid(
    axes: tuple[int, int, int], flips: tuple[int, int, int]
) -> None:
    prediction = turned(axes, flips, with_a_spot(entropy=3.0))
    place = a_gate().decide(a_case(), prediction).place

    assert place is not None
    np.testing.assert_allclose((prediction.affine @ [*place.conformed, 1])[:3], place.ras_mm, atol=1e-9)
    off = (prediction.scanner_affine @ [*place.scanner, 1])[:3] - place.ras_mm
    along = np.linalg.inv(prediction.scanner_affine[:3, :3]) @ off  # in voxels: the nearest one is within half of each
    assert (np.abs(along) <= 0.5 + 1e-9).all()


def test_a_place_beyond_the_scanners_grid_is_shown_at_its_nearest_voxel() -> None:
    beside = np.eye(4)
    beside[:3, 3] = [500, 0, 0]
    place = verdict_for(replace(with_a_spot(entropy=3.0), scanner_affine=beside)).place

    assert place is not None
    assert place.scanner[0] == 0
