"""Synthetic cases of each finding: what a case shows is told from its label map, and drawn until it shows it."""

import numpy as np
import pytest
import torch

from models.label_maps import LabelMap
from models.synthesis import Finding
from pipelines.degrade import DEGRADATIONS, LEVELS
from pipelines.descriptors import VENTRICLES, WHITE
from pipelines.finding_cases import (
    DRAWN,
    FEW_LESIONS_ML,
    HEAVY,
    MANY_LESIONS_ML,
    MILD_LEVELS,
    NORMAL_VENTRICLES,
    SMALLEST_FOCUS_ML,
    WIDE_VENTRICLES,
    damaged,
    draw_case,
    finding_of,
    ventricle_share,
)
from triage.case import Volume
from triage.findings import FINDINGS

WHITE_ID, CORTEX_ID, VENTRICLE_ID, SCALP_ID = 2, 3, 4, 530


def a_label_map(subject: str, ventricle_mm: int) -> LabelMap:
    """A box head: scalp, cortex, white matter and a ventricle of that half width. FreeSurfer ids, RAS+, 1 mm."""
    labels = np.zeros((160, 192, 160), np.int16)
    for inset, value in ((12, SCALP_ID), (24, CORTEX_ID), (32, WHITE_ID)):
        labels[inset:-inset, inset:-inset, inset:-inset] = value
    middle = tuple(slice(n // 2 - ventricle_mm, n // 2 + ventricle_mm) for n in labels.shape)
    labels[middle] = VENTRICLE_ID
    return LabelMap(subject=subject, labels=labels, affine=np.eye(4))


@pytest.mark.parametrize(
    ("painted", "lesion_ml", "ventricles", "shown"),
    [
        ("normal", 0.0, NORMAL_VENTRICLES, "normal"),
        ("normal", 0.0, (NORMAL_VENTRICLES + WIDE_VENTRICLES) / 2, None),
        ("normal", 0.0, WIDE_VENTRICLES, "atrophy"),
        ("atrophy", 0.0, NORMAL_VENTRICLES, "normal"),
        ("white_matter_lesions", FEW_LESIONS_ML, 0.02, "normal"),
        ("white_matter_lesions", (FEW_LESIONS_ML + MANY_LESIONS_ML) / 2, 0.02, None),
        ("white_matter_lesions", MANY_LESIONS_ML, 0.02, "white_matter_lesions"),
        ("white_matter_lesions", MANY_LESIONS_ML, WIDE_VENTRICLES, "white_matter_lesions"),
        ("mass", 40.0, WIDE_VENTRICLES, "focal"),
        ("stroke", SMALLEST_FOCUS_ML, 0.02, "focal"),
        ("resection", SMALLEST_FOCUS_ML / 2, 0.02, None),
    ],
)
def test_what_a_head_shows_follows_from_its_volumes(
    painted: Finding, lesion_ml: float, ventricles: float, shown: str | None
) -> None:
    assert finding_of(painted, lesion_ml, ventricles) == shown


def test_the_ventricles_are_counted_against_all_inside_the_skull() -> None:
    classes = torch.tensor([0, 0, 0, WHITE, WHITE, WHITE, VENTRICLES])

    assert ventricle_share(classes) == pytest.approx(0.25)


def test_there_is_a_way_to_draw_every_finding() -> None:
    assert list(DRAWN) == [f.key for f in FINDINGS]


def test_only_a_label_map_that_shows_the_finding_is_taken() -> None:
    narrow, wide = a_label_map("narrow", 12), a_label_map("wide", 30)

    cases = [draw_case("normal", [wide, narrow], (), np.random.default_rng(seed)) for seed in range(3)]

    assert {(case.subject, case.finding) for case in cases} == {("narrow", "normal")}


def test_what_none_of_the_label_maps_can_show_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.finding_cases.ATTEMPTS", 2)

    with pytest.raises(RuntimeError, match="in 2 attempts none of the label maps gave a case of normal"):
        draw_case("normal", [a_label_map("wide", 30)], (), np.random.default_rng(0))


def test_the_same_seed_draws_the_same_case() -> None:
    maps = [a_label_map("narrow", 12)]

    first, second = (draw_case("not_assessable", maps, (), np.random.default_rng(4)) for _ in range(2))

    np.testing.assert_array_equal(first.volume.array, second.volume.array)


def test_what_is_not_assessable_is_always_damaged_and_the_rest_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def remembered(name: str) -> object:
        def damage(volume: Volume, level: int, _rng: np.random.Generator) -> Volume:
            seen.append((name, level))
            return volume

        return damage

    monkeypatch.setattr("pipelines.finding_cases.DEGRADATIONS", {name: remembered(name) for name in HEAVY})
    volume = Volume(array=np.zeros((2, 2, 2), np.float32), affine=np.eye(4))
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged(volume, "not_assessable", rng)
    heavy, seen[:] = list(seen), []
    for _ in range(200):
        damaged(volume, "atrophy", rng)

    assert len(heavy) == 200
    assert all(level in HEAVY[name] for name, level in heavy)
    assert {name for name, _ in heavy} == set(HEAVY)
    assert 20 < len(seen) < 80
    assert {level for _, level in seen} <= set(MILD_LEVELS)


def test_heavy_damage_is_of_a_kind_and_level_that_exists() -> None:
    assert set(HEAVY) <= set(DEGRADATIONS)
    assert all(set(levels) <= set(LEVELS) for levels in HEAVY.values())
