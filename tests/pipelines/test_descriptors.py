"""What a case is described by, on small made-up heads whose answers can be told."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from pipelines.descriptors import CELL_ML, CORTEX, SMALL_ML, STEP_MM, VENTRICLES, WHITE, describe, facts
from triage.anatomy import LESION, N_CLASSES, TISSUES

SIDE = 20
MIDDLE = SIDE // 2


def a_head() -> np.ndarray:
    """(X, Y, Z) classes: white matter in cortex, a ventricle on either side of the middle."""
    labels = np.zeros((SIDE, SIDE, SIDE), np.int64)
    labels[1:-1, 1:-1, 1:-1] = CORTEX
    labels[3:-3, 3:-3, 3:-3] = WHITE
    for x in (MIDDLE - 2, MIDDLE + 1):
        labels[x, 8:12, 8:12] = VENTRICLES
    return labels


def probability(labels: np.ndarray) -> torch.Tensor:
    return one_hot(torch.from_numpy(labels), N_CLASSES).permute(3, 0, 1, 2).float().contiguous()


def facts_of(labels: np.ndarray) -> dict[str, float]:
    return facts(probability(labels))


def test_volumes_are_counted_in_millilitres_and_in_shares_of_the_head() -> None:
    labels = a_head()
    head = np.count_nonzero(labels) * CELL_ML + SMALL_ML

    found = facts_of(labels)

    assert found["intracranial"] == pytest.approx(math.log(head))
    white = np.count_nonzero(labels == WHITE) * CELL_ML + SMALL_ML
    assert found["cerebral_white_share"] == pytest.approx(math.log(white / head))


def test_the_largest_lesion_is_the_largest_connected_one() -> None:
    labels = a_head()
    labels[4:7, 4:7, 4:6] = LESION  # 18 cells
    labels[14, 14, 14] = LESION

    assert facts_of(labels)["largest_lesion"] == pytest.approx(math.log(18 * CELL_ML + SMALL_ML))


def test_a_lesion_beside_a_ventricle_is_near_and_one_in_the_cortex_is_not() -> None:
    near, far = a_head(), a_head()
    near[MIDDLE + 2 : MIDDLE + 4, 8:12, 8:12] = LESION
    far[1:3, 8:12, 8:12] = LESION

    assert facts_of(near)["lesion_near_ventricles"] > 0.7
    assert facts_of(far)["lesion_near_ventricles"] == 0


def test_cortex_beside_a_ventricle_stands_out() -> None:
    dark = a_head()
    dark[MIDDLE + 2, 8:12, 8:12] = CORTEX

    assert facts_of(dark)["cortex_near_ventricles"] > facts_of(a_head())["cortex_near_ventricles"]


def test_a_symmetrical_head_has_no_asymmetry_wherever_it_lies() -> None:
    moved = np.pad(a_head(), ((7, 0), (0, 0), (0, 0)))

    for labels in (a_head(), moved):
        asymmetry = {k: v for k, v in facts_of(labels).items() if k.endswith("asymmetry")}
        assert asymmetry == pytest.approx(dict.fromkeys(asymmetry, 0), abs=1e-5)


def test_a_lesion_of_one_side_is_asymmetrical_and_the_mirrored_one_just_as_much() -> None:
    labels = a_head()
    labels[4:7, 8:12, 8:12] = LESION

    found, mirrored = facts_of(labels), facts_of(np.ascontiguousarray(labels[::-1]))

    volume = 48 * CELL_ML
    assert found["lesion_asymmetry"] == pytest.approx(volume / (volume + SMALL_ML), abs=1e-4)
    assert mirrored["lesion_asymmetry"] == pytest.approx(found["lesion_asymmetry"], abs=1e-4)


def test_certain_cells_have_no_entropy_and_split_ones_that_of_a_coin() -> None:
    certain = probability(a_head())
    split = certain.clone()
    split[CORTEX] = split[WHITE] = 0.5 * (certain[CORTEX] + certain[WHITE])

    assert facts(certain)["entropy"] == pytest.approx(0, abs=1e-6)
    shared = float((certain[CORTEX] + certain[WHITE]).sum() / certain[2:].sum())
    assert facts(split)["entropy"] == pytest.approx(shared * math.log(2), rel=1e-4)


def test_padding_with_background_changes_nothing() -> None:
    padded = np.pad(a_head(), ((3, 8), (0, 5), (2, 2)))

    assert facts_of(padded) == pytest.approx(facts_of(a_head()), abs=1e-5)


def test_the_pooled_features_follow_the_facts_tissue_by_tissue() -> None:
    labels = a_head()
    features = torch.randn(4, *labels.shape, generator=torch.Generator().manual_seed(0))

    descriptors = describe(features, probability(labels))

    n_facts = len(facts_of(labels))
    assert descriptors.shape == (n_facts + 4 * len(TISSUES),)
    white = list(TISSUES).index("white_matter")
    pooled = descriptors[n_facts + 4 * white : n_facts + 4 * (white + 1)]
    np.testing.assert_allclose(pooled, features[:, torch.from_numpy(labels == WHITE)].mean(dim=1), atol=1e-6)


def test_without_a_brain_the_descriptors_are_not_all_numbers() -> None:
    nothing = np.zeros((SIDE, SIDE, SIDE), np.int64)

    assert bool(describe(torch.zeros(4, SIDE, SIDE, SIDE), probability(nothing)).isnan().any())


def test_the_step_is_that_of_every_second_cell() -> None:
    assert STEP_MM == 4
    assert pytest.approx(0.064) == CELL_ML
