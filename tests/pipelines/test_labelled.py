"""Labelled scans: labels land on the conformed grid where the anatomy is, and features are computed once."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor

from models.predictive import unfold
from pipelines.evaluate import NEUROMORPHOMETRICS, Scan
from pipelines.labelled import by_cell, copy_name, labelled
from triage.case import Volume

AFFINE = np.array([[-1.0, 0, 0, 60], [0, 0, 1.0, -70], [0, -1.0, 0, 50], [0, 0, 0, 1]])
"""Left, inferior, anterior: every axis of the file is another one, or runs the other way, on the conformed grid."""


class CountingRunner:
    """Features that are the image's own mean over each cell; counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: Tensor) -> Tensor:
        self.calls += 1
        return torch.nn.functional.avg_pool3d(image[None], 2)


def _scan(folder: Path) -> tuple[Scan, Volume]:
    """A bright ball, labelled as white matter (id 44), in a dark head."""
    points = np.stack(np.meshgrid(*[np.arange(n) for n in (120, 100, 130)], indexing="ij"))
    head = ((points - np.array([60, 50, 65]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 45**2
    ball = ((points - np.array([45, 40, 80]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 12**2
    image = (100.0 * head + 100 * ball).astype(np.float32)
    nib.save(nib.Nifti1Image(image, AFFINE), folder / "t1.nii.gz")
    nib.save(nib.Nifti1Image((44 * ball).astype(np.int16), AFFINE), folder / "label.nii.gz")
    scan = Scan(
        name="ball",
        split="tune",
        finding="normal",
        t1=folder / "t1.nii.gz",
        labels=folder / "label.nii.gz",
        manual=True,
    )
    return scan, Volume(array=image, affine=AFFINE)


def test_labels_lie_where_their_tissue_lies_whatever_the_axes_of_the_file(tmp_path: Path) -> None:
    scan, _ = _scan(tmp_path)

    (one,) = labelled([scan], CountingRunner())

    assert one.classes is not None
    bright = one.conformed.image > 0.75 * one.conformed.image.max()
    white = one.classes == NEUROMORPHOMETRICS[44]
    assert white.sum() > 5000
    assert 2 * (bright & white).sum() / (bright.sum() + white.sum()) > 0.99


def test_features_are_computed_once_and_come_back_as_they_were(tmp_path: Path) -> None:
    scan, _ = _scan(tmp_path)
    runner = CountingRunner()

    (first,) = labelled([scan], runner, tmp_path / "kept")
    (second,) = labelled([scan], runner, tmp_path / "kept")

    assert runner.calls == 1
    assert torch.allclose(first.features, second.features, atol=1e-3)
    assert second.classes is not None and np.array_equal(first.classes, second.classes)  # type: ignore[arg-type]
    assert np.array_equal(first.conformed.image, second.conformed.image)
    assert (first.conformed.extent, first.conformed.cut) == (second.conformed.extent, second.conformed.cut)


def test_another_image_under_the_same_name_is_another_scan(tmp_path: Path) -> None:
    scan, volume = _scan(tmp_path)
    runner = CountingRunner()
    list(labelled([scan], runner, tmp_path / "kept"))
    nib.save(nib.Nifti1Image(volume.array[::-1], AFFINE), scan.t1)

    list(labelled([scan], runner, tmp_path / "kept"))

    assert runner.calls == 2
    assert len(list((tmp_path / "kept").iterdir())) == 2  # and nothing unfinished lies there


def test_a_copy_is_told_by_its_damage_its_seed_and_its_labels(tmp_path: Path) -> None:
    scan, _ = _scan(tmp_path)

    names = {
        copy_name(scan, ""),
        copy_name(scan, "noise 3"),
        copy_name(scan, "noise 3", seed=1),
        copy_name(replace(scan, labels=None), ""),
    }

    assert len(names) == 4
    assert copy_name(scan, "", seed=1) in names
    assert {name.rpartition(".")[0] for name in names} == {"ball", "ball.noise.3"}


def test_the_order_of_cells_is_that_of_the_predictive() -> None:
    volume = np.random.default_rng(0).integers(0, 12, (4, 6, 8)).astype(np.uint8)

    assert np.array_equal(unfold(by_cell(volume), (2, 3, 4)).numpy(), volume)
