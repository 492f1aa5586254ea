"""The cuts through a volume are in radiological convention: laterality is patient safety."""

import numpy as np
import pytest

from triage.report.views import VIEWS, View, cut, inside, position

SHAPE = (7, 9, 11)
BY_NAME = {view.name: view for view in VIEWS}


def marked(index: tuple[int, int, int]) -> np.ndarray:
    array = np.zeros(SHAPE)
    array[index] = 1
    return array


@pytest.mark.parametrize(
    ("name", "voxel", "corner"),
    [
        ("axial", (6, 8, 5), (0, 0)),  # right front of the patient: upper left of the picture
        ("axial", (0, 0, 5), (-1, -1)),  # left back: lower right
        ("coronal", (6, 4, 10), (0, 0)),  # right top: upper left
        ("coronal", (0, 4, 0), (-1, -1)),
        ("sagittal", (3, 8, 10), (0, 0)),  # front top: upper left
        ("sagittal", (3, 0, 0), (-1, -1)),
    ],
)
def test_a_marker_of_known_side_lands_in_its_corner(
    name: str, voxel: tuple[int, int, int], corner: tuple[int, int]
) -> None:
    picture = cut(marked(voxel), BY_NAME[name], voxel)

    assert picture[corner] == 1
    assert picture.sum() == 1


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_the_crosshair_stands_on_the_voxel_that_the_cut_shows(view: View) -> None:
    voxel = (1, 5, 8)
    picture = cut(marked(voxel), view, voxel)

    x, y = position(view, voxel, (picture.shape[1], picture.shape[0]))

    assert picture[int(y), int(x)] == 1


def test_the_letters_say_radiological_convention() -> None:
    assert [(v.left, v.right, v.top, v.bottom) for v in VIEWS] == [
        ("R", "L", "A", "P"),
        ("R", "L", "S", "I"),
        ("A", "P", "S", "I"),
    ]


def test_a_place_outside_the_grid_is_shown_at_its_nearest_voxel() -> None:
    assert inside((-3, 4, 99), SHAPE) == (0, 4, 10)
