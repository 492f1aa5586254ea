"""Whole networks of few label maps: trained once and kept, and met by real scans at 2 mm as they met synthetic ones."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from models.bundle import ATLAS, read_atlas
from models.label_maps import LabelMap
from models.network import SegmentationNet
from models.priors.atlas import Atlas
from pipelines.bench.prior_few_maps import network_gains_table, networks_table
from pipelines.bench.prior_networks import Coarse, at_2_mm, digest, frequency, meet, meeting, network_of
from pipelines.bench.prior_rows import ATLAS_ALONE, LABELS_POSE
from pipelines.bench.prior_worth import CONDITIONS, in_every_condition
from pipelines.compare import GRADED
from pipelines.examples import Options
from pipelines.preprocess import Conformed
from pipelines.scans import Scan
from triage.anatomy import BRAIN, LESION, N_CLASSES

TINY = Options(iterations=1, every=1, widths=(2, 2, 2, 2, 2), shape=(64, 64, 64), held_out=0, checks=1)
GREY, WHITE = 2, 3
CORTEX_ID, WHITE_ID = 100, 44
"""Of Neuromorphometrics."""


@pytest.fixture(scope="module")
def atlas(repository: Path) -> Atlas:
    path = repository / "models" / "shipped" / ATLAS
    if not path.is_file():
        pytest.skip(f"no {ATLAS} in models/shipped")
    return read_atlas(path)


def scan(labels: Path | None = None) -> Scan:
    return Scan(name="one", split="tune", finding="", t1=Path("none"), labels=labels, manual=True)


def label_map() -> LabelMap:
    labels = np.zeros((40, 40, 40), np.int16)
    labels[:, :, :10] = 3
    labels[:, :, 10:15] = 2
    return LabelMap(subject="one", labels=labels, affine=np.eye(4))


def test_a_scan_at_2_mm_has_the_mean_and_the_commonest_class_of_every_eight_voxels(tmp_path: Path, atlas: Atlas):
    generator = np.random.default_rng(0)
    image = generator.random((96, 64, 64), np.float32)
    ids = generator.choice([0, CORTEX_ID, WHITE_ID], image.shape, p=(0.1, 0.3, 0.6)).astype(np.int16)
    affine = np.eye(4)
    affine[:3, 3] = -30, 7, 5
    nib.save(nib.Nifti1Image(ids, affine), tmp_path / "labels.nii.gz")
    conformed = Conformed(image=image, affine=affine, extent=image.shape, cut=(False,) * 6, snr=20.0)

    coarse = at_2_mm(scan(tmp_path / "labels.nii.gz"), conformed, atlas)

    blocks = ids[10:12, 20:22, 30:32]
    votes = {0: (blocks == 0).sum(), GREY: (blocks == CORTEX_ID).sum(), WHITE: (blocks == WHITE_ID).sum()}
    assert float(coarse.image[5, 10, 15]) == pytest.approx(image[10:12, 20:22, 30:32].mean())
    assert votes[int(coarse.classes[5, 10, 15])] == max(votes.values())
    np.testing.assert_allclose(coarse.affine @ [5, 10, 15, 1], affine @ [10.5, 20.5, 30.5, 1])
    assert coarse.image.shape == coarse.classes.shape == (64, 64, 64)
    assert not coarse.image[48:].any() and not coarse.classes[48:].any()


def test_the_frequency_of_a_class_is_its_share_of_the_voxels_of_the_label_maps():
    shares = frequency([label_map(), label_map()])

    assert shares[[0, GREY, WHITE]].tolist() == pytest.approx([25 / 40, 10 / 40, 5 / 40])
    assert float(shares.sum()) == pytest.approx(1) and len(shares) == LESION


def test_a_network_is_trained_once_and_then_taken_from_its_folder(tmp_path: Path):
    first = network_of([label_map()], tmp_path, TINY)
    before = (tmp_path / "metrics.jsonl").read_text()

    again = network_of([label_map()], tmp_path, TINY)

    assert all(torch.equal(weights, again.state_dict()[name]) for name, weights in first.state_dict().items())
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_what_is_kept_is_of_these_weights_and_this_atlas():
    net = SegmentationNet(N_CLASSES, TINY.widths)
    flat = Atlas(probability=torch.full((LESION, 2, 2, 2), 1 / LESION), affine=np.eye(4))
    known = digest(net, flat)

    moved = replace(flat, affine=2 * np.eye(4))
    with torch.no_grad():
        net.head.weight.add_(1)

    assert len({known, digest(net, flat), digest(net, moved)}) == 3


def test_a_network_that_knows_the_anatomy_finds_the_pose_and_has_the_atlas_there(atlas: Atlas):
    affine = atlas.affine @ np.diag([1.6, 1.6, 1.6, 1.0])
    affine[:3, 3] += 6, -5, 4
    shape = [int(n / 1.6) // 2 * 2 for n in atlas.probability.shape[1:]]
    head = atlas.on_grid(shape, affine)
    classes = head.argmax(dim=0).to(torch.uint8)
    logits = torch.cat([torch.log(head), torch.full((1, *shape), -20.0)])
    one = Coarse(scan=scan(), image=torch.zeros(shape), classes=classes, affine=affine, pose=np.eye(4))

    met = meet(one, lambda image: logits[None], atlas)
    found = meeting([met], torch.full((LESION,), 1 / LESION), None)

    brain = met.scene.classes[0] >= min(BRAIN)
    assert int(brain.sum()) == int((classes >= min(BRAIN)).sum())
    torch.testing.assert_close(met.at_labels.logits[:-1, 0].exp(), met.at_labels.atlas)
    assert met.pose_mm < 3
    assert (met.scene.atlas[:, brain].argmax(dim=0) == met.scene.classes[0, brain]).float().mean() > 0.9
    assert found["pose_mm"] == {"one": met.pose_mm}
    assert list(found["rows"][ATLAS_ALONE][0]["dice"].values()) == pytest.approx([1] * len(GRADED), abs=1e-4)
    assert found["rows"][LABELS_POSE][0]["nll"] <= found["rows"]["prior"][0]["nll"]


def test_every_damage_is_met_with_the_exponents_of_the_clean_scans():
    def rows(condition, usual):
        return {"fits": {"prior": {"temperature": 1.0, "beta": len(condition), "gamma": 0.0}}, "usual": usual}

    found = in_every_condition(rows)

    assert list(found) == list(CONDITIONS)
    assert found[""]["usual"] is None
    assert all(found[damage]["usual"].beta == 0 for damage in CONDITIONS[1:])


def test_the_tables_tell_dice_without_and_with_the_prior_at_either_pose_and_the_change():
    def rows(dice):
        names = ("malf_1000", "malf_1006", "ixi_a")
        return [{"case": name, "dice": {"a": dice}, "nll": 0.3, "brier": 0.2, "ece": 0.1} for name in names]

    found = {
        "fits": {"prior": {"beta": 0.4}},
        "rows": {"none": rows(0.5), "prior": rows(0.6), LABELS_POSE: rows(0.7), ATLAS_ALONE: rows(0.8)},
        "pose_mm": {"malf_1000": 9.0, "malf_1006": 2.0, "ixi_a": 8.0},
    }
    networks = {"1": dict.fromkeys(CONDITIONS, found)}

    dice, changes = networks_table(networks), network_gains_table(networks)

    assert f"| 1 | IXI, test (1) | 8.0 |{' .500, .600, .700 |' * 3}" in dice
    assert f"| the atlas alone | IXI, test | - |{' .800 |' * 3}" in dice
    unchanged = ".300, .300 | .200, .200 | .100, .100"
    assert f"| 1 | OASIS, test | clean | +0.1000 | +0.0000 | {unchanged} | .40 | +0.2000 | +0.0000 |" in changes
