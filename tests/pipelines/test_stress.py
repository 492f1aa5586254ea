"""The stress ladder: every step once, a fair reference, and no rung that hides a failure."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import pipelines.stress
from pipelines.degrade import DEGRADATIONS, LEVELS
from pipelines.settings import Settings
from pipelines.stress import CLEAN, Rung, Step, climb, read_labels, read_steps, steps, stress
from pipelines.stress_page import (
    FIGURE,
    ROWS,
    SELF,
    TRUE,
    dice_table,
    doubt_table,
    never_falls,
    stays_flagged,
    write_ladder,
)
from tests.builders import a_case, a_volume
from tests.fakes import FakeEngine, FakeGate, tiny_volume
from tests.pipelines.rungs import a_ladder, a_rung
from triage.case import Inventory, Volume
from triage.errors import Code, Refusal, TriageError
from triage.prediction import Prediction
from triage.verdict import Route

PATH = [("noise", 1), ("noise", 5), ("left_right_flip", 1)]


def doubtful_by_level(volume: Volume, step: Step) -> Prediction:
    """The tiny phantom, the more doubtful the higher the level; `FakeGate` accepts up to 1."""
    return FakeEngine(doubt=step[1] / 4).predict(volume, seed=0)


def climbed(classes: np.ndarray | None = None, predict: pipelines.stress.Predict = doubtful_by_level) -> list[Rung]:
    return list(climb(a_case("case-a"), tiny_volume(), PATH, predict=predict, gate=FakeGate(), classes=classes))


def test_the_scan_as_it_is_comes_first_then_every_step_in_order() -> None:
    rungs = climbed()

    assert [(r.kind, r.level) for r in rungs] == [(CLEAN, 0), *PATH]
    assert [r.score for r in rungs] == [0, 0.25, 1.25, 0.25]
    assert [r.accepted for r in rungs] == [True, True, False, True]
    assert {r.case for r in rungs} == {"case-a"}


def test_without_labels_the_reference_is_the_undamaged_result_with_which_it_agrees() -> None:
    clean, noisy, *_ = climbed()

    assert clean.mean_dice == pytest.approx(1, abs=0.02)
    assert noisy.mean_dice == clean.mean_dice  # this engine always says the same


def test_the_reference_is_flipped_with_the_head() -> None:
    """The engine says the same of a flipped head, so it agrees with the flipped reference as its mirror image does."""
    x = int(np.abs(tiny_volume().affine[0, :3]).argmax())
    right = np.zeros(tiny_volume().array.shape, np.uint8)
    np.moveaxis(right, x, 0)[: right.shape[x] // 3] = 3

    flipped, mirrored = climbed(right)[-1], climbed(np.flip(right, x).copy())[0]

    assert flipped.dice["cerebral_white"] == mirrored.dice["cerebral_white"] > 0


def test_what_preprocessing_refuses_is_a_rung_that_is_not_accepted() -> None:
    def refusing(volume: Volume, step: Step) -> Prediction:
        if step == ("noise", 5):
            raise Refusal(Code.COVERAGE, "There is no head.", do="Send another series.")
        return doubtful_by_level(volume, step)

    rung = climbed(predict=refusing)[2]

    assert (rung.route, rung.reasons, rung.action) == (Route.REFUSED, (Code.COVERAGE,), "Send another series.")
    assert not rung.accepted
    assert math.isnan(rung.score) and math.isnan(rung.mean_dice)


def test_every_kind_is_climbed_level_by_level_and_a_flip_once() -> None:
    path = read_steps(None, "5,1,2,3,4")

    assert [level for kind, level in path if kind == "noise"] == list(LEVELS)
    assert [level for kind, level in path if kind == "left_right_flip"] == [1]
    assert len(path) == 5 * (len(DEGRADATIONS) - 1) + 1


@pytest.mark.parametrize(("kinds", "levels"), [("noise,fog", "1"), ("noise", "0"), ("noise", "9"), ("noise", "worst")])
def test_an_unknown_kind_or_level_is_refused_with_those_that_are_known(kinds: str, levels: str) -> None:
    with pytest.raises(TriageError, match=r"Known kinds: noise, motion.* levels: 1, 2, 3, 4, 5"):
        read_steps(kinds, levels)


def test_nothing_to_do_is_refused() -> None:
    with pytest.raises(TriageError, match="no damage to do"):
        steps([], [1])


@pytest.mark.parametrize(
    ("cases", "labels", "message"),
    [((), None, "No scan there can be read"), ((a_case("a"), a_case("b")), Path("one.nii.gz"), "Labels are of one")],
)
def test_an_inbox_that_cannot_be_climbed_is_refused_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, cases: tuple[object, ...], labels: Path | None, message: str
) -> None:
    inventory = Inventory(cases=cases, refused=(), skipped={})  # type: ignore[arg-type]
    monkeypatch.setattr(pipelines.stress, "find_cases", lambda *_: inventory)

    with pytest.raises(TriageError, match=message):
        stress(Path("inbox"), Settings(bundle=Path("nowhere")), PATH, labels=labels)


def test_labels_are_brought_to_the_grid_of_the_scan(tmp_path: Path) -> None:
    volume = a_volume()
    labels = (volume.array > 400).astype(np.uint8)
    nib.save(nib.Nifti1Image(labels[::-1], volume.affine @ _flip(0, len(labels))), tmp_path / "labels.nii.gz")

    assert np.array_equal(read_labels(tmp_path / "labels.nii.gz", volume), labels)


@pytest.mark.parametrize("corner", np.ndindex(2, 2, 2))
def test_finer_labels_give_each_voxel_the_class_of_most_of_it(tmp_path: Path, corner: tuple[int, int, int]) -> None:
    """The nearest fine voxel is one of eight, here for one corner the wrong one."""
    volume = a_volume()
    labels = np.where(volume.array > 400, 3, 2).astype(np.uint8)
    fine = np.kron(labels, np.ones((2, 2, 2), np.uint8))
    fine[tuple(slice(first, None, 2) for first in corner)] = 0
    half = volume.affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    half[:3, 3] = (volume.affine @ [-0.25, -0.25, -0.25, 1])[:3]
    nib.save(nib.Nifti1Image(fine, half), tmp_path / "labels.nii.gz")

    assert np.array_equal(read_labels(tmp_path / "labels.nii.gz", volume), labels)


def test_labels_of_another_scheme_are_refused(tmp_path: Path) -> None:
    volume = tiny_volume()
    nib.save(nib.Nifti1Image(np.full(volume.array.shape, 41, np.int16), volume.affine), tmp_path / "labels.nii.gz")

    with pytest.raises(TriageError, match="classes 0 to 11"):
        read_labels(tmp_path / "labels.nii.gz", volume)


@pytest.mark.parametrize(
    ("scores", "rises", "stays"),
    [
        ((0.1, 0.5, 2.0), True, True),
        ((0.5, 0.47, 2.0), True, True),  # a fall by less than a twentieth of the limit is none
        ((0.5, 2.0, 1.5), False, True),
        ((0.5, 2.0, 0.9), False, False),
        ((0.5, 2.0, math.nan), True, True),  # refused is the most doubtful
        ((0.5, math.nan, 2.0), False, True),
    ],
)
def test_doubt_and_flags_rise_or_do_not(scores: tuple[float, ...], rises: bool, stays: bool) -> None:
    rungs = a_ladder(*scores)

    assert never_falls(rungs, "noise") is rises
    assert stays_flagged(rungs, "noise") is stays


def test_one_scan_whose_doubt_falls_is_enough() -> None:
    rungs = [*a_ladder(0.1, 0.5), *a_ladder(0.5, 0.1, case="other")]

    assert not never_falls(rungs, "noise")


def test_a_cell_holds_the_mean_doubt_and_how_many_were_flagged() -> None:
    rungs = [*a_ladder(0.2, 0.5), *a_ladder(0.4, 2.5, case="other")]

    assert "| noise | 0.30 (0/2) | 1.50 (1/2) | yes | yes |" in doubt_table(rungs)


def test_dice_is_the_mean_over_structures_and_scans_that_have_any() -> None:
    rungs = [*a_ladder(0.2, 0.5, dice=0.8), *a_ladder(0.4, math.nan, dice=0.9, case="other")]
    rungs[-1] = replace(rungs[-1], dice={})

    assert "| noise | .850 | .800 |" in dice_table(rungs)


@pytest.mark.parametrize(("labelled", "said", "not_said"), [(False, SELF, TRUE), (True, TRUE, SELF)])
def test_the_page_says_what_dice_is_with_and_lies_beside_its_figure_and_numbers(
    tmp_path: Path, labelled: bool, said: str, not_said: str
) -> None:
    rungs = [*a_ladder(0.2, 0.5, math.nan), a_rung("left_right_flip", 1)]

    text = write_ladder(rungs, tmp_path / "ladder", labelled=labelled).read_text()

    assert said in text and not_said not in text
    assert "| left-right flip | 0.20 (0/1) | 0.20 (0/1) | - | - | - |" in text
    assert (tmp_path / "ladder" / FIGURE).read_bytes().startswith(b"\x89PNG")
    with (tmp_path / "ladder" / ROWS).open() as file:
        written = list(csv.DictReader(file))
    assert [row["score"] for row in written] == ["0.2", "0.5", "", "0.2"]


def _flip(axis: int, size: int) -> np.ndarray:
    """(4, 4) index of an array turned round along an axis, to that of the array."""
    flip = np.eye(4)
    flip[axis, axis], flip[axis, 3] = -1, size - 1
    return flip
