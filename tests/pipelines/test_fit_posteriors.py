"""Fits from the command line, as comparisons read them."""

import sys

import pytest
import torch

from models.bundle import write_tensors
from models.cells import Cells, write_cells
from models.network import SUBVOXELS, SegmentationNet
from pipelines import fit_posteriors
from pipelines.draw_cells import CELLS
from pipelines.posterior_table import read_posteriors
from triage.anatomy import N_CLASSES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of an untrained network, and a few cells without meaning."""
    folder = tmp_path_factory.mktemp("fit")
    torch.manual_seed(0)
    write_tensors(folder / "network.safetensors", SegmentationNet(N_CLASSES).state_dict(), half=True)
    cells = [
        Cells(
            subject=subject,
            features=torch.cat([torch.randn(32, 30), torch.ones(1, 30)]),
            classes=torch.randint(N_CLASSES, (SUBVOXELS, 30)),
            weight=torch.ones(30),
        )
        for subject in "abc"
    ]
    write_cells(folder / CELLS, cells)
    return folder


def test_the_methods_asked_for_are_fitted_around_the_trained_head_and_can_be_read(folder, monkeypatch, capsys):
    paths = ["--weights", str(folder / "network.safetensors"), "--cells", str(folder), "--out", str(folder / "out")]
    monkeypatch.setattr(sys, "argv", ["fit_posteriors", *paths, "--only", "laplace", "point"])

    fit_posteriors.main()

    fitted = read_posteriors(folder / "out")
    head = fit_posteriors.trained_head(folder / "network.safetensors")
    assert set(fitted) == {"point", "laplace"}
    assert all(torch.equal(posterior.mean, head) for posterior in fitted.values())
    assert "laplace: " in capsys.readouterr().out


def test_chains_that_disagree_are_reported_as_such():
    heads = torch.randn(fit_posteriors.CHAINS * 50, 16, 3, generator=torch.Generator().manual_seed(0))
    heads[:50] += 5

    said = fit_posteriors.convergence(heads)

    assert float(said.split("median ")[1].split(",")[0]) > 1.5
    assert said.endswith(f"of {fit_posteriors.CHAINS * 50}")
