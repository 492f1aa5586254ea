"""Where healthy tissue lies: look-ups by index, by millimetre and on a grid agree; the maps are probabilities."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from models.priors.atlas import PSEUDO_COUNT, REGISTRATION_SD_MM, Atlas, icbm_tissues, tissue_atlas
from models.priors.lookup import Lookup

OBLIQUE = np.array([[2.0, 0.3, 0, -10], [-0.2, 1.9, 0.1, 5], [0, -0.1, 2.1, 3], [0, 0, 0, 1]])
MEMBERS = {"grey_matter": (2, 4), "white_matter": (3,), "csf": (1,)}


@pytest.fixture
def atlas() -> Atlas:
    generator = torch.Generator().manual_seed(0)
    return Atlas(probability=torch.softmax(torch.randn(3, 5, 6, 7, generator=generator), dim=0), affine=OBLIQUE)


@pytest.fixture(scope="module")
def icbm():
    return icbm_tissues()


def to_mm(index: np.ndarray, affine: np.ndarray = OBLIQUE) -> torch.Tensor:
    return torch.from_numpy(index @ affine[:3, :3].T + affine[:3, 3]).float()


def test_the_centre_of_a_voxel_has_the_voxels_probability(atlas):
    index = np.argwhere(np.ones((5, 6, 7)))

    torch.testing.assert_close(atlas.at(to_mm(index)), atlas.probability.flatten(1), atol=1e-5, rtol=0)


def test_between_voxels_the_probability_is_trilinear(atlas):
    index = np.random.default_rng(0).uniform(0, [4, 5, 6], (50, 3))

    expected = [ndimage.map_coordinates(p, index.T, order=1) for p in atlas.probability.numpy()]

    np.testing.assert_allclose(atlas.at(to_mm(index)), expected, atol=1e-5)


def test_outside_the_atlas_the_value_is_that_of_its_edge(atlas):
    outside = to_mm(np.array([[-3.0, 2, 3], [9, 2, 3], [1, 40, -8]]))

    expected = atlas.probability[:, [0, 4, 1], [2, 2, 5], [3, 3, 0]]

    torch.testing.assert_close(atlas.at(outside), expected, atol=1e-5, rtol=0)


def test_a_grid_of_points_has_the_probability_of_its_points(atlas):
    grid_affine = np.array([[1.5, 0.2, 0, -9], [0, 1.4, 0.3, 6], [0.1, 0, -1.6, 12], [0, 0, 0, 1]])
    index = np.argwhere(np.ones((4, 3, 5)))

    on_grid = atlas.on_grid((4, 3, 5), grid_affine)

    torch.testing.assert_close(on_grid.flatten(1), atlas.at(to_mm(index, grid_affine)), atol=1e-5, rtol=0)


def test_the_look_up_of_the_pose_has_the_likelihood_of_the_atlas_and_its_gradient(atlas):
    generator = np.random.default_rng(1)
    mm = to_mm(generator.uniform(-2, [6, 7, 8], (200, 3))).requires_grad_(True)
    weights = torch.softmax(torch.randn(200, 3), dim=1)

    fit = (weights * torch.log(atlas.at(mm)).T).sum(dim=1).mean()
    (expected,) = torch.autograd.grad(fit, mm)
    value, slope = Lookup.of(atlas).log_likelihood(mm.detach(), weights)

    assert value == pytest.approx(fit.item(), abs=1e-5)
    torch.testing.assert_close(slope, expected, atol=1e-5, rtol=1e-3)


def test_a_blurred_atlas_still_sums_to_one_and_is_flatter(toy_atlas):
    blurred = toy_atlas.blurred()

    torch.testing.assert_close(blurred.probability.sum(dim=0), torch.ones(40, 50, 40))
    assert blurred.probability.std() < toy_atlas.probability.std()


def test_a_blur_of_no_width_changes_nothing(toy_atlas):
    torch.testing.assert_close(toy_atlas.blurred(0.0).probability, toy_atlas.probability)


TISSUES = dict(zip(MEMBERS, np.random.default_rng(0).dirichlet([1, 1, 1, 1], (12, 12, 12)).T[:3], strict=True))
TWO_MM = np.diag([2.0, 2.0, 2.0, 1.0])


class TestTissueAtlas:
    def test_sums_to_one_and_leaves_nothing_impossible(self):
        atlas = tissue_atlas(TISSUES, TWO_MM, MEMBERS, 5)

        torch.testing.assert_close(atlas.probability.sum(dim=0), torch.ones(12, 12, 12, dtype=torch.float32))
        assert float(atlas.probability.min()) > 0.9 * PSEUDO_COUNT

    def test_without_shares_the_classes_of_a_tissue_are_equal(self):
        atlas = tissue_atlas(TISSUES, TWO_MM, MEMBERS, 5)

        assert torch.equal(atlas.probability[2], atlas.probability[4])

    def test_the_classes_of_a_tissue_add_up_to_the_blurred_tissue_whatever_their_shares(self):
        share = torch.softmax(torch.randn(5, 12, 12, 12), dim=0)
        blurred = ndimage.gaussian_filter(TISSUES["grey_matter"], REGISTRATION_SD_MM / 2, mode="nearest")

        atlas = tissue_atlas(TISSUES, TWO_MM, MEMBERS, 5, share)

        expected = (blurred + 2 * PSEUDO_COUNT) / (1 + 5 * PSEUDO_COUNT)
        np.testing.assert_allclose(atlas.probability[2] + atlas.probability[4], expected, atol=1e-5)


class TestIcbm:
    def test_grey_white_and_csf_share_each_voxel(self, icbm):
        maps, _ = icbm

        assert all(m.min() >= 0 for m in maps.values())
        assert (maps["grey_matter"] + maps["white_matter"]).max() <= 1 + 1e-3

    def test_the_volumes_are_those_of_an_adult_head(self, icbm):
        maps, affine = icbm
        voxel_ml = abs(np.linalg.det(affine[:3, :3])) / 1000

        litres = {name: m.sum() * voxel_ml / 1000 for name, m in maps.items()}

        assert 0.6 < litres["grey_matter"] < 1.2
        assert 0.4 < litres["white_matter"] < 0.8
        assert 0.05 < litres["csf"] < 0.6

    def test_the_grid_is_two_millimetres_with_the_anterior_commissure_inside_the_brain(self, icbm):
        maps, affine = icbm
        i, j, k = np.rint(np.linalg.inv(affine) @ [0, 0, 0, 1])[:3].astype(int)

        np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), 2)
        assert sum(m[i, j, k] for m in maps.values()) > 0.9

    def test_the_occipital_lobe_lies_behind_and_the_vertex_above(self, icbm):
        maps, affine = icbm
        inside = np.argwhere(sum(maps.values()) > 0.5) @ affine[:3, :3].T + affine[:3, 3]

        low, high = inside.min(axis=0), inside.max(axis=0)

        np.testing.assert_allclose(low, [-75, -110, -70], atol=15)
        np.testing.assert_allclose(high, [75, 75, 82], atol=15)
