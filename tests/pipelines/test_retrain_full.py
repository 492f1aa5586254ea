"""Fine-tuning of the whole network: corrected scans and synthetic images in turn, resumable with the same bits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models import bundle as files
from models.bundle import read_network
from pipelines import retrain_full
from pipelines.retrain_corrections import open_ledger, read_corrections
from pipelines.retrain_full import corrected_batch, fine_tune
from pipelines.retrain_job import Job, Options
from pipelines.settings import SHIPPED_BUNDLE, Settings
from tests.pipelines.corrected_cases import a_correction, correct
from tests.pipelines.test_train import maps
from triage.anatomy import N_CLASSES
from triage.ledger import Split

SHAPE = (64, 64, 64)


def scan(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Every voxel's intensity is its class, so that image and classes can be told to lie together."""
    classes = np.zeros((side, side, side), np.uint8)
    classes[side // 4 : -side // 4, side // 4 : -side // 4, side // 4 : -side // 4] = 3
    return classes.astype(np.float32), classes


@pytest.mark.parametrize("side", [40, 96])
def test_image_and_classes_are_cut_together_and_show_brain(side: int) -> None:
    for iteration in range(6):
        image, classes = corrected_batch([scan(side)], SHAPE, 0, iteration)

        assert image.shape == (1, 1, *SHAPE)
        assert torch.equal(image[:, 0], classes.float())
        assert bool((classes == 3).any())


def test_a_fine_tuning_that_was_killed_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(out=tmp_path / "out", state=tmp_path / "state")
    correct(settings, a_correction(1))
    open_ledger(settings).freeze(["person 1"], Split.TRAIN)
    np.savez(tmp_path / "maps.npz", **{m.subject: m.labels for m in maps(1)})
    whole = Job(
        live=SHIPPED_BUNDLE,
        live_digest="live",
        corrections=read_corrections(settings),
        ledger=open_ledger(settings),
        options=Options(full=2, shape=SHAPE),
        state=tmp_path / "whole",
        label_maps=tmp_path / "maps.npz",
    )
    killed = replace(whole, state=tmp_path / "killed")
    monkeypatch.setattr(retrain_full, "EVERY", 1)

    fine_tune(whole)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(retrain_full, "save", interrupted_after(1))
        fine_tune(killed)
    fine_tune(killed)

    first, second = (load_file(job.folder / files.NETWORK) for job in (whole, killed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    live = read_network(SHIPPED_BUNDLE, N_CLASSES).state_dict()
    assert any(not torch.equal(first[name].float(), live[name]) for name in first)


def interrupted_after(iteration: int) -> object:
    """Saves, then is killed."""
    keep = retrain_full.save

    def save(training: object, folder: Path) -> None:
        keep(training, folder)  # type: ignore[arg-type]
        if training.iteration == iteration:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    return save
