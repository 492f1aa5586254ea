"""Members of an ensemble that share a trunk: what they see, and that they are graded as their mean predictive."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.bundle import write_tensors
from models.last_block import last_weights
from models.network import SMALLEST_SIDE, SegmentationNet
from models.predictive import augment
from pipelines.compare import GRADED, SampledCase, predictive
from pipelines.deep_ensemble import Ensemble, read_ensemble
from pipelines.labelled import Labelled
from pipelines.preprocess import Conformed
from pipelines.scans import Scan
from triage.anatomy import LESION, N_CLASSES

SIDE = SMALLEST_SIDE
CHOSEN = torch.tensor([5, 700, 4000])


def network(seed: int) -> SegmentationNet:
    """Random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SegmentationNet(N_CLASSES).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def networks() -> tuple[SegmentationNet, SegmentationNet]:
    """One, and another that differs from it in the last block and the head alone."""
    one, other = network(0), network(0)
    other.load_state_dict(one.state_dict() | last_weights(network(1)))
    return one, other


@pytest.fixture(scope="module")
def ensemble(networks: tuple[SegmentationNet, SegmentationNet], tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    folder = tmp_path_factory.mktemp("members")
    write_tensors(folder / "on_1.safetensors", last_weights(networks[1]))
    found = read_ensemble(folder, networks[0].trunk, networks[0].linear_head)
    assert found is not None
    return found


def test_the_predictive_of_the_ensemble_is_the_mean_of_its_networks_each_run_whole(
    networks: tuple[SegmentationNet, SegmentationNet], ensemble: Ensemble
):
    image = torch.rand(SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    own, others = (net.trunk(image[None, None])[0] for net in networks)
    conformed = Conformed(image=image.numpy(), affine=np.eye(4), extent=(SIDE,) * 3, cut=(False,) * 6, snr=20.0)
    scan = Scan(name="a", split="test", finding="normal", t1=Path(), labels=None, manual=False)
    nothing = np.zeros((len(GRADED), 8, len(CHOSEN)), bool)
    case = SampledCase(
        cells=CHOSEN,
        features=augment(own)[:, CHOSEN],
        ratio=torch.ones(LESION, len(CHOSEN)),
        classes=np.zeros((8, len(CHOSEN)), np.uint8),
        around=nothing,
        band=nothing,
    )

    seen = ensemble.see(case, Labelled(scan=scan, conformed=conformed, features=own, classes=None))
    p = predictive(seen, ensemble.posterior.heads)

    alone = [
        torch.softmax((net.linear_head @ augment(features)[:, CHOSEN]).view(N_CLASSES, 8, -1), dim=0)
        for net, features in zip(networks, (own, others), strict=True)
    ]
    torch.testing.assert_close(p, (alone[0] + alone[1]) / 2, atol=1e-4, rtol=0)


def test_a_folder_without_members_is_no_ensemble(networks: tuple[SegmentationNet, SegmentationNet], tmp_path: Path):
    assert read_ensemble(tmp_path / "members", networks[0].trunk, networks[0].linear_head) is None
