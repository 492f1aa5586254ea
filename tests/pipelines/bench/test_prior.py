"""The bench of the prior measures what it says: known affines, Dice and likelihood, paired changes, wrong poses."""

import math

import numpy as np
import pytest
import torch

from models.bundle import ATLAS, read_atlas
from models.cells import Cells
from models.priors.atlas import Atlas
from models.priors.exponent import Exponents, loss
from pipelines.bench import prior_heads
from pipelines.bench.image_affine import correlation, mni_t1
from pipelines.bench.prior_conflict import brain_points, poses_tried
from pipelines.bench.prior_heads import fit_head
from pipelines.bench.prior_page import calibration_losses, where_it_hurts
from pipelines.bench.prior_poses import known_affine, mean_distance, moved
from pipelines.bench.prior_rows import change, gain, structure_changes, without
from pipelines.bench.prior_scenes import Scene, grade
from pipelines.compare import GRADED
from pipelines.fit_prior import at_beta
from triage.anatomy import LESION, N_CLASSES
from triage.case import Volume

FREQUENCY = torch.softmax(torch.linspace(2, -2, LESION), dim=0)


@pytest.fixture
def scene() -> Scene:
    generator = torch.Generator().manual_seed(0)
    return Scene(
        subject="one",
        split="tune",
        manual=True,
        logits=3 * torch.randn(N_CLASSES, 8, 50, generator=generator),
        atlas=torch.softmax(torch.randn(LESION, 50, generator=generator), dim=0),
        classes=torch.randint(LESION, (8, 50), generator=generator).to(torch.uint8),
    )


@pytest.fixture(scope="module")
def shipped_atlas(repository) -> Atlas:
    path = repository / "models" / "shipped" / ATLAS
    if not path.is_file():
        pytest.skip(f"no {ATLAS} in models/shipped")
    return read_atlas(path)


def test_a_moved_head_lies_where_the_affine_brings_it():
    blob = np.zeros((40, 44, 36), np.float32)
    blob[18:22, 20:24, 14:18] = 1
    volume = Volume(array=blob, affine=np.diag([2.0, 2.0, 3.0, 1.0]))
    affine = known_affine(3, np.array([40.0, 40.0, 50.0]))

    there = moved(volume, affine, order=1)

    centre = np.argwhere(blob > 0).mean(axis=0)
    weights = there.array / there.array.sum()
    found = [float((weights * index).sum()) for index in np.indices(there.array.shape)]
    np.testing.assert_allclose(there.affine @ [*found, 1], affine @ volume.affine @ [*centre, 1], atol=0.2)


def test_the_mean_distance_of_two_affines_is_that_of_the_points_they_map():
    shift = np.eye(4)
    shift[:3, 3] = [3, 0, 4]

    assert mean_distance(shift, np.eye(4), np.array([[0.0, 0, 0, 1], [7, 8, 9, 1]])) == pytest.approx(5)


def test_dice_is_that_of_the_most_probable_classes(scene):
    (row,) = grade([scene], Exponents(temperature=1.0, beta=0.0, gamma=0.0), FREQUENCY)

    labels, truth = scene.logits.argmax(dim=0) == 3, scene.classes == 3
    expected = 2 * int((labels & truth).sum()) / int(labels.sum() + truth.sum())
    assert row["dice"]["cerebral_white"] == pytest.approx(expected)


def test_the_likelihood_is_the_one_that_the_exponents_are_fitted_by(scene):
    exponents = Exponents(temperature=1.7, beta=0.6, gamma=0.3)

    (row,) = grade([scene], exponents, FREQUENCY)

    theta = np.array([1 / 1.7, *(low for low, _ in at_beta(exponents.beta, exponents)[1:])])
    assert row["nll"] == pytest.approx(loss(theta, scene.choices(FREQUENCY))[0], rel=1e-4)


def test_a_likelihood_that_is_sure_and_right_has_no_brier_score_and_no_calibration_error(scene):
    sure = torch.nn.functional.one_hot(scene.classes.long(), N_CLASSES).permute(2, 0, 1) * 50.0
    right = Scene(subject="one", split="tune", manual=True, logits=sure, atlas=scene.atlas, classes=scene.classes)

    (row,) = grade([right], Exponents(temperature=1.0, beta=0.0, gamma=0.0), FREQUENCY)

    assert (row["brier"], row["ece"], row["nll"]) == pytest.approx((0, 0, 0), abs=1e-6)
    assert all(dice == 1 for dice in row["dice"].values())


def test_a_gain_is_the_mean_change_of_the_same_scans_with_an_interval_where_they_are_eight_or_more():
    without = [{"dice": {"a": 0.5, "b": 0.7}}, {"dice": {"a": 0.1, "b": None}}]
    with_prior = [{"dice": {"a": 0.7, "b": 0.7}}, {"dice": {"a": 0.4, "b": None}}]

    assert gain(without, with_prior, "dice") == "+0.2000"
    assert gain(4 * without[:1], 4 * with_prior[:1], "dice") == "+0.1000"
    assert gain(8 * without[:1], 8 * with_prior[:1], "dice") == "+0.1000 (+0.1000 to +0.1000)"


def test_a_structure_changes_in_the_scans_whose_labels_have_it():
    without, with_prior = (
        [{"dice": {"a": dice}} for dice in column] for column in ((0.5, None, 0.7), (0.6, None, 0.6))
    )

    assert structure_changes(without, with_prior, "a") == pytest.approx([0.1, -0.1])


def test_the_page_names_the_structures_that_the_prior_hurts_and_no_other():
    def row(**dice):
        return {"case": "ixi_a", "dice": dict.fromkeys(GRADED, 0.8) | dice, "ece": 0.1}

    worth = {"": {"rows": {"none": [row()], "prior": [row(brainstem=0.7, deep_grey=0.9)]}}}

    assert where_it_hurts(worth) == "- clean: Brainstem and ventral DC (-0.1000; lower in 1 of 1)\n"


def test_the_page_names_where_the_prior_makes_calibration_worse():
    def rows(oasis, ixi):
        return [{"case": case, "ece": ece} for case, ece in (("malf_1006", oasis), ("malf_1000", 0.1), ("ixi_a", ixi))]

    worth = {"noise 4": {"rows": {"none": rows(0.01, 0.05), "prior": rows(0.02, 0.04)}}}

    assert calibration_losses(worth) == "OASIS, test, noise, SD 18 % of bright tissue (.0100 to .0200)"


def test_the_template_correlates_with_itself_and_less_when_it_lies_elsewhere():
    array, affine = mni_t1()
    volume = Volume(array=array, affine=affine)
    off = np.eye(4)
    off[0, 3] = 10

    assert correlation(volume, np.eye(4)) == pytest.approx(1)
    assert correlation(volume, off) < 0.8


class Engine:
    """An engine for what the conflict asks of it."""

    def __init__(self, atlas):
        self.atlas = atlas
        self.unknown_pose = atlas.blurred()
        self.beta = 0.3
        self.training_prior = torch.full((len(atlas.probability),), 1 / len(atlas.probability))

    @property
    def model(self):
        return self


def test_the_right_pose_of_a_head_has_less_conflict_than_every_wrong_one(shipped_atlas):
    affine = shipped_atlas.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    head = shipped_atlas.on_grid([n // 2 for n in shipped_atlas.probability.shape[1:]], affine)

    tried = poses_tried(head, affine, np.eye(4), Engine(shipped_atlas))

    for beta in (0.3, 1.0):
        means = {one["pose"]: one["mean"] for one in tried if one["beta"] == beta}
        assert means["right"] < 0
        assert min(means, key=lambda pose: means[pose]) == "right"
    assert len({one["pose"] for one in tried}) == 8
    assert math.isclose(brain_points(head, affine)[:, 3].mean(), 1)


def test_a_head_fitted_from_nothing_tells_the_classes_that_a_line_parts():
    generator = torch.Generator().manual_seed(0)
    features = torch.cat([torch.randn(2, 400, generator=generator), torch.ones(1, 400)])
    classes = (features[:1] > 0).long().expand(8, -1)
    cells = Cells(subject="one", features=features, classes=classes, weight=torch.full((400,), 700.0))

    head = fit_head([cells])

    labels = (head @ features).view(2, 8, 400).argmax(dim=0)
    assert (labels == classes).float().mean() > 0.98


def test_a_draw_of_label_maps_takes_all_images_of_each(monkeypatch):
    images = [Cells(subject=f"map {n // 2}", features=torch.ones(1), classes=torch.ones(1), weight=torch.ones(1))
              for n in range(10)]  # fmt: skip
    monkeypatch.setattr(prior_heads, "fit_head", lambda some: [cells.subject for cells in some])

    draws = prior_heads.drawn_heads(images, 2)

    assert all(len(set(draw)) == 2 and len(draw) == 4 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 1


def test_what_a_prior_changes_is_the_mean_over_the_scans_of_the_group():
    rows = {
        "none": [{"case": "ixi_a", "nll": 0.5}, {"case": "ixi_b", "nll": 0.7}, {"case": "malf_1006", "nll": 9.0}],
        "prior": [{"case": "ixi_a", "nll": 0.4}, {"case": "ixi_b", "nll": 0.4}, {"case": "malf_1006", "nll": 9.0}],
    }

    assert without({"rows": rows}, "IXI, test", "nll") == pytest.approx(0.6)
    assert change({"rows": rows}, "IXI, test", "nll") == pytest.approx(-0.2)
