"""Where a voxel lies in memory."""

import numpy as np
import torch

from models.predictive.layout import augment, by_voxel, slices, unfold


def test_unfold_puts_subvoxel_abc_of_cell_ijk_at_2i_plus_a_2j_plus_b_2k_plus_c():
    cells = torch.rand(8, 3 * 2 * 4)

    image = unfold(cells, (3, 2, 4))

    for i, j, k in np.ndindex(3, 2, 4):
        for a, b, c in np.ndindex(2, 2, 2):
            assert image[2 * i + a, 2 * j + b, 2 * k + c] == cells[4 * a + 2 * b + c, (i * 2 + j) * 4 + k]


def test_augmenting_flattens_the_grid_and_adds_a_row_of_ones():
    features = torch.rand(5, 2, 3, 4)

    out = augment(features)

    assert torch.equal(out[:-1], features.view(5, 24))
    assert torch.equal(out[-1], torch.ones(24))


def test_row_8_c_plus_v_of_a_head_is_class_c_of_voxel_v():
    head = torch.rand(8 * 3, 5)

    apart = by_voxel(head)

    assert all(torch.equal(apart[c, v], head[8 * c + v]) for c in range(3) for v in range(8))


def test_slices_cover_a_range_once():
    assert [i for part in slices(10, 4) for i in range(10)[part]] == list(range(10))
