"""The affine to MNI space from image similarity, by SimpleITK: what the pose from tissues is compared with.

Centres of mass, then rigid, then affine; Mattes mutual information of 32 bins inside the MNI brain, 4 mm wider.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.priors.atlas import icbm_map
from triage.case import Volume

SPACING_MM = 2
MASK_MM = 4
SAMPLED = (1.0, 0.5, 0.1)
"""Share of the voxels at each level: some 25,000 at every one."""
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""SimpleITK's millimetres from RAS+ and back."""


def image_affine(volume: Volume) -> NDArray[np.float64]:
    """(4, 4) scanner RAS+ mm to MNI mm."""
    import SimpleITK

    template, affine = mni_t1()
    brain = ndimage.binary_dilation(template > 0, iterations=MASK_MM // SPACING_MM)
    fixed, mask, moving = _image(template, affine), _image(brain.astype(np.float32), affine), _image(*_parts(volume))
    start = SimpleITK.CenteredTransformInitializer(
        fixed, moving, SimpleITK.Euler3DTransform(), SimpleITK.CenteredTransformInitializerFilter.MOMENTS
    )
    rigid = _register(fixed, moving, mask, start, (4, 2))
    first = SimpleITK.AffineTransform(3)
    first.SetMatrix(rigid.GetMatrix())
    first.SetTranslation(rigid.GetTranslation())
    first.SetCenter(rigid.GetCenter())
    found = _register(fixed, moving, mask, first, (4, 2, 1))
    to_scanner = np.eye(4)
    to_scanner[:3, :3] = np.reshape(found.GetMatrix(), (3, 3))
    centre = np.array(found.GetCenter())
    to_scanner[:3, 3] = np.array(found.GetTranslation()) + centre - to_scanner[:3, :3] @ centre
    return np.asarray(LPS @ np.linalg.inv(to_scanner) @ LPS)


def mni_t1() -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The stripped T1 of ICBM 2009a at 2 mm, and its affine."""
    array, affine = icbm_map("t1")
    coarse = affine @ np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    coarse[:3, 3] = (affine @ [0.5, 0.5, 0.5, 1])[:3]
    x, y, z = (n // 2 for n in array.shape)
    blocks = array[: 2 * x, : 2 * y, : 2 * z].reshape(x, 2, y, 2, z, 2)
    return np.asarray(blocks.mean(axis=(1, 3, 5)), np.float32), coarse


def correlation(volume: Volume, affine: NDArray[np.float64]) -> float:
    """Pearson's correlation with the MNI T1 inside its brain, of a volume that this affine brings there."""
    template, template_affine = mni_t1()
    index = np.linalg.inv(affine @ volume.affine) @ template_affine
    there = ndimage.affine_transform(volume.array, index[:3, :3], index[:3, 3], template.shape, order=1)
    inside = template > 0
    return float(np.corrcoef(there[inside], template[inside])[0, 1])


def _register(fixed: Any, moving: Any, mask: Any, start: Any, shrink: tuple[int, ...]) -> Any:
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricFixedMask(SimpleITK.Cast(mask, SimpleITK.sitkUInt8))
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentagePerLevel(list(SAMPLED[: len(shrink)]))
    method.SetInterpolator(SimpleITK.sitkLinear)
    # Steps in mm that only shrink: a line search threw whole heads out of the field of view.
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.001, 200, 0.5)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel([s // 2 * SPACING_MM for s in shrink])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetInitialTransform(start, inPlace=False)
    found = method.Execute(fixed, moving)
    return found.GetNthTransform(0).Downcast() if hasattr(found, "GetNthTransform") else found.Downcast()


def _image(array: NDArray[np.float32], affine: NDArray[np.float64]) -> Any:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    to_mm = LPS @ affine
    spacing = np.linalg.norm(to_mm[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((to_mm[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(to_mm[:3, 3].tolist())
    return image


def _parts(volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    return np.asarray(volume.array, np.float32), volume.affine
