"""What is no brain, made up: repeatable, and what it is said to be."""

from pathlib import Path

import numpy as np

from pipelines.bench.no_brains import knees, no_brains


def test_made_up_volumes_need_no_data_and_are_the_same_every_time() -> None:
    once, again = no_brains(Path("nowhere")), no_brains(Path("nowhere"))

    assert set(once) == {"phantom", "knees", "noise", "blobs"}
    assert np.array_equal(once["blobs"]().array, again["blobs"]().array)


def test_knees_are_two_legs_of_the_width_of_legs_in_air() -> None:
    middle = knees().array[:, 72, 48] > 150
    edges = np.flatnonzero(np.diff(middle.astype(int)))

    assert not middle[[0, 104, -1]].any()
    assert edges[-1] - edges[0] == np.clip(edges[-1] - edges[0], 170, 195)
