"""What is no brain, made up: repeatable, and what it is said to be."""

from pathlib import Path

import numpy as np

from pipelines.bench.no_brains import fruit, knees, never_accepted, no_brains


def test_made_up_volumes_need_no_data_and_are_the_same_every_time() -> None:
    once, again = no_brains(Path("nowhere")), no_brains(Path("nowhere"))

    assert set(once) == {"phantom", "knees", "noise", "blobs"}
    assert np.array_equal(once["blobs"]().array, again["blobs"]().array)


def test_knees_are_two_legs_of_the_width_of_legs_in_air() -> None:
    middle = knees().array[:, 72, 48] > 150
    edges = np.flatnonzero(np.diff(middle.astype(int)))

    assert not middle[[0, 104, -1]].any()
    assert edges[-1] - edges[0] == np.clip(edges[-1] - edges[0], 170, 195)


def test_what_is_never_accepted_is_all_that_is_no_brain_and_nothing_at_all() -> None:
    found = never_accepted(Path("nowhere"))

    assert set(found) == {*no_brains(Path("nowhere")), "fruit", "water", "zeros"}
    assert not found["zeros"]().array.any()


def test_an_orange_is_round_and_in_segments() -> None:
    """Around the middle of the flesh, halfway to the peel, ten walls are crossed."""
    image = fruit().array
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    x, y = (np.rint(48 + 25 * f(angles)).astype(int) for f in (np.cos, np.sin))
    around = image[x, y, 40:56].mean(axis=1)
    wall = around < 520

    assert (np.diff(wall.astype(int), append=wall[:1]) == 1).sum() == 10
    assert image[[0, -1], 48, 48].max() < 100
