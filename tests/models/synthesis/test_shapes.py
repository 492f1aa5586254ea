"""Real lesions' shapes: read from MNI space, and placed in another head by its white matter."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from models.synthesis import LesionShape, Recipe, read_lesion_shapes, synthesise
from models.synthesis.draws import Draws
from models.synthesis.head import positioned
from models.synthesis.shapes import CENTRE_MM, SPREAD_MM, placed, to_mni
from tests.models.synthesis.heads import SHAPE, head

STILL = Recipe(shape=SHAPE, rotation_deg=0, tilted=0, scale=0, shear=0, shift_mm=0, warp_mm=0)


def ball(radius_mm: float, centre_mm: tuple[float, ...] = CENTRE_MM) -> LesionShape:
    """Of 2 mm voxels, x running to the left as in many MNI files."""
    n = int(radius_mm) + 1
    x, y, z = np.meshgrid(*[np.arange(n) * 2.0 - (n - 1)] * 3, indexing="ij")
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = np.array(centre_mm) - affine[:3, :3] @ np.full(3, (n - 1) / 2)
    return LesionShape(kind="stroke", mask=torch.from_numpy(x**2 + y**2 + z**2 < radius_mm**2), affine=affine)


def test_the_kind_is_that_of_the_name_and_the_mask_is_cropped_without_moving(tmp_path: Path):
    mask = np.zeros((20, 24, 28), np.uint8)
    mask[5, 6:9, 7] = 1
    affine = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
    for name in ("stroke_1", "ms_2", "other_3"):
        nib.save(nib.Nifti1Image(mask, affine), tmp_path / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(0 * mask, affine), tmp_path / "ms_empty.nii.gz")

    ms, stroke = read_lesion_shapes(tmp_path)

    assert (ms.kind, stroke.kind) == ("white_matter_lesions", "stroke")
    assert ms.mask.shape == (1, 3, 1) and bool(ms.mask.all())
    np.testing.assert_allclose(ms.affine @ [0, 1, 0, 1], affine @ [5, 7, 7, 1])


def test_registration_brings_the_white_matter_onto_that_of_the_template():
    labels = head()
    white = np.argwhere(np.isin(labels.numpy(), (2, 41)))

    mm = white @ to_mni(labels)[:3, :3].T + to_mni(labels)[:3, 3]

    np.testing.assert_allclose(mm.mean(axis=0), CENTRE_MM, atol=1e-6)
    np.testing.assert_allclose(mm.std(axis=0), SPREAD_MM, rtol=1e-6)


def test_a_head_without_white_matter_is_registered_by_its_size_alone():
    assert np.isfinite(to_mni(torch.zeros(8, 8, 8, dtype=torch.int16))).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_shape_comes_to_lie_where_it_lies_in_the_template_give_or_take_its_scatter(seed: int):
    draws = Draws(torch.Generator().manual_seed(seed))
    ill = placed(ball(16.0), positioned(head(), STILL, draws), draws).numpy()

    scale = np.diag(to_mni(head()))[:3]
    middle, expected = np.argwhere(ill).mean(axis=0), (np.array(SHAPE) - 1) / 2
    assert (np.abs(middle - expected) < 9 / scale + 1).all()
    volume = ill.sum() * scale.prod()
    assert 0.8**3 / 1.6 < volume / (4 / 3 * np.pi * 16**3) < 1.25**3 * 1.6


def test_a_stroke_on_one_side_is_drawn_on_either():
    right = (CENTRE_MM[0] + 40, CENTRE_MM[1], CENTRE_MM[2])
    sides = set()
    for seed in range(12):
        draws = Draws(torch.Generator().manual_seed(seed))
        ill = placed(ball(12.0, right), positioned(head(), STILL, draws), draws)
        sides.add(bool(ill[SHAPE[0] // 2 :].sum() > ill[: SHAPE[0] // 2].sum()))

    assert sides == {True, False}


def test_a_stroke_with_real_shapes_is_within_the_shape_and_the_cerebrum():
    recipe = replace(STILL, cropped=0, findings={"stroke": 1})

    image = synthesise(head(), recipe, torch.Generator().manual_seed(3), [ball(30.0)])

    assert image.finding == "stroke"
    assert 0 < image.lesion_ml < 4 / 3 * np.pi * 60**3 / 1000


def test_real_masks_keep_their_volume(shared_data: Path, tmp_path: Path):
    for name in ("stroke_Subject_050.nii.gz", "ms_patient12.nii.gz"):
        (tmp_path / name).symlink_to(shared_data / "lesion_masks" / name)

        (shape,) = read_lesion_shapes(tmp_path)

        image = nib.load(tmp_path / name)
        assert int(shape.mask.sum()) == int((np.asarray(image.dataobj) > 0.5).sum())
        assert shape.kind == ("stroke" if name.startswith("stroke") else "white_matter_lesions")
        (tmp_path / name).unlink()
