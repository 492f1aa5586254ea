import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from triage.dicom.geometry import GAP_FRACTION, grid_of
from triage.dicom.planes import Plane
from triage.errors import Code, Refusal

ROWS, COLUMNS = 40, 36


def planes(rotation=None, *, n=30, gap=4.0, start=(-80.0, -70.0, -60.0), shear=(0.0, 0.0, 0.0)) -> list[Plane]:
    axes = np.eye(3) if rotation is None else rotation.as_matrix()
    return [
        Plane(
            frame=0,
            position=tuple(np.array(start) + k * gap * (axes[:, 2] + np.array(shear))),
            orientation=(*axes[:, 0], *axes[:, 1]),
            spacing_mm=(3.0, 2.5),
            slope=1.0,
            intercept=0.0,
            split=(),
        )
        for k in range(n)
    ]


def moved(plane: Plane, by) -> Plane:
    return Plane(
        frame=plane.frame,
        position=tuple(np.array(plane.position) + by),
        orientation=plane.orientation,
        spacing_mm=plane.spacing_mm,
        slope=1.0,
        intercept=0.0,
        split=(),
    )


def code_of(stack: list[Plane]) -> Code:
    with pytest.raises(Refusal) as refusal:
        grid_of(stack, columns=COLUMNS, rows=ROWS)
    return refusal.value.code


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(27, 60))
def test_every_voxel_lies_where_the_equation_of_the_standard_puts_it(seed, n):
    rng = np.random.default_rng(seed)
    stack = planes(Rotation.random(random_state=seed), n=n, start=rng.uniform(-100, 100, 3))
    order = rng.permutation(n)

    grid = grid_of([stack[index] for index in order], columns=COLUMNS, rows=ROWS)

    assert [order[index] for index in grid.order] == list(range(n))
    for i, j, k in ((0, 0, 0), (COLUMNS - 1, 0, 3), (0, ROWS - 1, n - 1), (7, 11, n // 2)):
        plane = stack[k]
        row, column = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
        # PS3.3 C.7.6.2.1.1: column index i goes along the row with the spacing between columns
        place = np.array(plane.position) + row * plane.spacing_mm[1] * i + column * plane.spacing_mm[0] * j
        assert np.allclose((grid.affine_lps @ [i, j, k, 1])[:3], place, atol=1e-6)


def test_spacing_is_that_of_columns_rows_and_slices():
    assert grid_of(planes(), columns=COLUMNS, rows=ROWS).spacing_mm == pytest.approx((2.5, 3.0, 4.0))


def test_the_grid_is_right_handed_whatever_the_order():
    for stack in (planes(), planes()[::-1]):
        assert np.linalg.det(grid_of(stack, columns=COLUMNS, rows=ROWS).affine_lps) > 0


@pytest.mark.parametrize(("missing", "told"), [(1, "1 slice is"), (2, "2 slices are"), (5, "5 slices are")])
def test_missing_slices_are_counted(missing, told):
    stack = planes(n=40)
    del stack[10 : 10 + missing]

    with pytest.raises(Refusal, match=f"{told} missing") as refusal:
        grid_of(stack, columns=COLUMNS, rows=ROWS)
    assert refusal.value.code is Code.MISSING_SLICE


@pytest.mark.parametrize(("factor", "accepted"), [(0.5, True), (0.9, True), (1.2, False), (5, False)])
def test_a_gap_may_be_off_by_one_per_cent(factor, accepted):
    stack = planes()
    stack[12] = moved(stack[12], [0, 0, factor * GAP_FRACTION * 4.0])

    if accepted:
        assert grid_of(stack, columns=COLUMNS, rows=ROWS).shape == (COLUMNS, ROWS, 30)
    else:
        assert code_of(stack) is Code.NONUNIFORM


@pytest.mark.parametrize(("degrees", "accepted"), [(0.09, True), (0.11, False), (14.0, False)])
def test_shear_over_a_tenth_of_a_degree_is_refused(degrees, accepted):
    stack = planes(shear=(np.tan(np.radians(degrees)), 0, 0))

    if accepted:
        assert grid_of(stack, columns=COLUMNS, rows=ROWS).shape == (COLUMNS, ROWS, 30)
    else:
        assert code_of(stack) is Code.SHEAR


def test_a_slice_beside_the_line_is_refused():
    stack = planes()
    stack[12] = moved(stack[12], [1.0, 0, 0])

    assert code_of(stack) is Code.GEOMETRY


def test_two_slices_at_one_position_are_refused():
    stack = planes()

    assert code_of([*stack, stack[4]]) is Code.DUPLICATE_POSITION


@pytest.mark.parametrize(
    "stack",
    [planes(n=15), planes(n=18, gap=4.0), planes(n=20, gap=9.0)],
    ids=["fewer than 16 slices", "72 mm high", "gaps of 9 mm"],
)
def test_what_can_never_hold_a_brain_is_refused_by_its_coverage(stack):
    assert code_of(stack) is Code.COVERAGE


def test_three_planes_of_a_localizer_are_not_parallel():
    turned = planes(Rotation.from_euler("x", 90, degrees=True))

    assert code_of([*planes()[:8], *turned[:8]]) is Code.GEOMETRY
