"""A bundle is built from weights and cells, and keeps what others fitted."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models import bundle as files
from models.bundle import load_bundle, write_atlas, write_metadata, write_tensors
from models.cells import Cells, write_cells
from models.network import SUBVOXELS, SegmentationNet
from models.posteriors.likelihood import by_voxel
from models.priors.atlas import Atlas
from pipelines.build_bundle import build
from pipelines.draw_cells import CELLS, POOLED
from triage.anatomy import LESION, N_CLASSES


@pytest.fixture(scope="module")
def network() -> SegmentationNet:
    torch.manual_seed(0)
    return SegmentationNet(N_CLASSES)


@pytest.fixture(scope="module")
def out(tmp_path_factory, network):
    """Built over a folder in which an atlas and fitted settings lie already; lesions where feature 0 is high."""
    folder = tmp_path_factory.mktemp("build")
    generator = torch.Generator().manual_seed(0)
    write_tensors(folder / "network.safetensors", network.state_dict())
    np.savez(folder / "maps.npz", map_01=np.ones((4, 4, 4), np.int16) * 2)
    images = []
    for subject in "abc":
        features = torch.randn(33, 300, generator=generator)
        features[-1] = 1
        classes = torch.where(features[0] > 0.5, LESION, torch.randint(LESION, (SUBVOXELS, 300), generator=generator))
        images.append(Cells(subject=subject, features=features, classes=classes, weight=torch.full((300,), 2000.0)))
    write_cells(folder / CELLS, images)
    save_file({"pooled": torch.randn(8, 6, generator=generator)}, folder / POOLED)
    out = folder / "bundle"
    probability = torch.full((LESION, 3, 3, 3), 1 / LESION)
    write_atlas(out / files.ATLAS, Atlas(probability=probability, affine=np.eye(4)))
    write_metadata(out / files.METADATA, {"brain_triage": {"beta": 0.3, "temperature": 1.5, "prior_fit": {"nll": 1}}})
    build(
        weights=folder / "network.safetensors",
        label_maps=folder / "maps.npz",
        cells=folder,
        out=out,
        posterior="laplace",
        name="toy",
        version="9.0.0",
    )
    return out


def test_what_was_built_loads_with_the_posterior_that_was_asked_for(out):
    bundle = load_bundle(out)

    assert (bundle.name, bundle.version, bundle.method) == ("toy", "9.0.0", "laplace")
    assert bundle.posterior.sample(4, seed=0).std(dim=0).max() > 0


def test_what_others_fitted_stays(out):
    settings = json.loads((out / files.METADATA).read_text())["brain_triage"]

    assert (settings["beta"], settings["temperature"], settings["prior_fit"]) == (0.3, 1.5, {"nll": 1})


def test_the_lesion_is_learnt_anew_and_the_healthy_weights_stay(out, network):
    new, old = (by_voxel(head) for head in (load_bundle(out).posterior.mean * 1.5, network.linear_head))

    torch.testing.assert_close(new[:, :LESION], old[:, :LESION], atol=1e-3, rtol=1e-3)
    assert bool((new[:, LESION, 0] > old[:, LESION, 0] + 0.1).all())
