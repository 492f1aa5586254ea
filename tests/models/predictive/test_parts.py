"""The chunks that the dense pass leaves to sampling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.predictive.parts import parts, together

LESION = 4


@pytest.mark.usefixtures("small_chunks")
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 60))
def test_chunks_hold_every_voxel_with_two_classes_or_more_once_with_all_classes_that_move_there(seed, n):
    moving = torch.randint(0, 32, (8, n), generator=torch.Generator().manual_seed(seed), dtype=torch.int16)
    seen = torch.zeros(8, n, dtype=torch.int64)

    for voxel, cells, classes in parts(moving, LESION):
        seen[voxel, cells] += 1
        union = sum(2**c for c in classes)
        assert all(int(bits) & ~union == 0 for bits in moving[voxel, cells])

    several = torch.tensor([bin(int(bits)).count("1") > 1 for bits in moving.ravel()]).view(8, n)
    assert torch.equal(seen, several.long())


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.integers(3, 31), st.integers(1, 5000), min_size=1))
def test_patterns_with_the_lesion_and_without_are_never_computed_together(sizes):
    patterns = np.array(list(sizes), np.int16)

    unions = together(patterns, np.array(list(sizes.values())), LESION)

    assert ((unions ^ patterns) >> LESION & 1 == 0).all()
    assert ((unions & patterns) == patterns).all()


def test_a_rare_pattern_joins_the_frequent_one_that_holds_it_and_two_frequent_ones_stay_apart():
    patterns, sizes = np.array([0b0011, 0b0111, 0b1100], np.int16), np.array([30, 9000, 9000])

    assert together(patterns, sizes, LESION).tolist() == [0b0111, 0b0111, 0b1100]
