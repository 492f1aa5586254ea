"""The pose is found from tissue alone: known affines come back, and a head the wrong way up fits less well."""

import math
import time

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from models.priors.pose import EFFECTIVE_VOXELS, SCALE_MEAN, SCALE_SD, SHEAR_SD, find_pose

SHAPE = (48, 64, 48)
GRID = np.array([[4.0, 0, 0, -94], [0, 4, 0, -140], [0, 0, 4, -88], [0, 0, 0, 1]])


def random_affine(seed: int) -> np.ndarray:
    """Scanner to MNI: rotation up to 15 degrees, scales of 0.85 to 1.15, and a shift up to 20 mm, about the brain."""
    generator = np.random.default_rng(seed)
    axis, shift = (v / np.linalg.norm(v) for v in generator.normal(size=(2, 3)))
    rotation = Rotation.from_rotvec(axis * math.radians(generator.uniform(0, 15))).as_matrix()
    centre = np.array([0, -18, 10])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(generator.uniform(0.85, 1.15, 3))
    affine[:3, 3] = centre + shift * generator.uniform(0, 20) - affine[:3, :3] @ centre
    return affine


def head_at(affine, atlas):
    """Class probabilities on the coarse grid of a head that the affine brings onto the atlas."""
    return atlas.on_grid(SHAPE, affine @ GRID)


def mean_error_mm(found, truth, probability) -> float:
    brain = np.argwhere(probability[0].numpy() < 0.5)
    scanner = np.c_[brain, np.ones(len(brain))] @ GRID.T
    return float(np.linalg.norm(scanner @ (found - truth).T, axis=1).mean())


@pytest.mark.parametrize("seed", range(4))
def test_a_known_affine_comes_back_within_a_millimetre_over_the_brain(shipped_atlas, seed):
    truth = random_affine(seed)
    head = head_at(truth, shipped_atlas)

    pose = find_pose(head, GRID, shipped_atlas)

    assert mean_error_mm(pose.affine, truth, head) < 1


@pytest.mark.parametrize("seed", range(2))
def test_it_comes_back_without_the_shipped_atlas_too(toy_atlas, seed):
    truth = random_affine(seed)
    head = head_at(truth, toy_atlas)

    pose = find_pose(head, GRID, toy_atlas)

    assert mean_error_mm(pose.affine, truth, head) < 2


def test_a_doubtful_likelihood_moves_the_pose_little(toy_atlas):
    truth = random_affine(1)
    head = head_at(truth, toy_atlas)
    noise = torch.randn(head.shape, generator=torch.Generator().manual_seed(0))
    doubtful = torch.softmax(torch.log(head) + noise, dim=0)

    pose = find_pose(doubtful, GRID, toy_atlas)

    assert mean_error_mm(pose.affine, truth, head) < 4


@pytest.mark.parametrize(("axis", "name"), [(2, "front to back"), (3, "upside down")])
def test_a_head_the_wrong_way_round_fits_less_well_than_the_right_way_round(shipped_atlas, axis, name):
    head = head_at(random_affine(0), shipped_atlas)

    right, wrong = (find_pose(h, GRID, shipped_atlas).log_posterior for h in (head, head.flip(axis)))

    assert wrong < right - 100, name


def test_left_and_right_cannot_be_told_apart_from_a_symmetric_atlas(toy_atlas):
    """So that nobody relies on it: laterality comes from the orientation in the header."""
    centred = GRID.copy()
    centred[0, 3] = -94
    head = toy_atlas.on_grid(SHAPE, centred)

    right, flipped = (find_pose(h, centred, toy_atlas).log_posterior for h in (head, head.flip(1)))

    assert flipped == pytest.approx(right, abs=1)


def test_the_log_posterior_is_the_mean_log_likelihood_of_points_and_the_prior_of_the_affine(toy_atlas):
    """At the truth of a head of the usual size: the fit is minus the entropy of the head's own probabilities."""
    truth = np.diag([*[math.exp(SCALE_MEAN)] * 3, 1.0])
    head = head_at(truth, toy_atlas)

    pose = find_pose(head, GRID, toy_atlas)

    brain = torch.nn.functional.max_pool3d(1 - head[:1], 7, stride=1, padding=3)[0] > 0.3
    expected = -EFFECTIVE_VOXELS * float(torch.special.entr(head[:, brain]).sum(dim=0).mean())
    assert pose.log_posterior == pytest.approx(expected, rel=0.02)
    assert np.abs(np.log(np.diag(pose.affine)[:3]) - SCALE_MEAN).max() < SCALE_SD
    assert np.abs(np.triu(pose.affine[:3, :3], 1)).max() < SHEAR_SD


def test_an_image_without_brain_has_a_pose_that_nothing_speaks_for(toy_atlas):
    nothing = torch.zeros(6, *SHAPE)
    nothing[0] = 1

    pose = find_pose(nothing, GRID, toy_atlas)

    assert pose.log_posterior == -math.inf
    assert np.isfinite(pose.affine).all()


def test_the_same_head_has_the_same_pose_to_the_last_bit(toy_atlas):
    head = head_at(random_affine(2), toy_atlas)

    first, second = (find_pose(head, GRID, toy_atlas).affine for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_finding_the_pose_leaves_torchs_threads_alone_and_takes_about_a_second_of_one_core(shipped_atlas):
    head, threads = head_at(random_affine(3), shipped_atlas), torch.get_num_threads()
    start = time.process_time()

    find_pose(head, GRID, shipped_atlas)

    assert time.process_time() - start < 3
    assert torch.get_num_threads() == threads
