"""New weights for the lesion alone, before a posterior is fitted: what the network calls ill, learnt from more lesions.

The healthy classes' weights stay, so that what a voxel is if it is healthy stays as trained, to the last bit.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.cells import Cells
from models.parallel import one_thread_an_operation
from models.posteriors.likelihood import DEFAULT, Target, as_head, by_voxel
from models.posteriors.mode import Mode, minimise


@one_thread_an_operation()
def refit_lesion(head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT) -> Tensor:
    """The head (8 C, F + 1) with the last class's weights at the mode of the target centred on the head."""
    trained = by_voxel(head).double()
    lesion = trained[:, -1:]
    curvature = target.hessian(trained, images)[:, -lesion.shape[2] :, -lesion.shape[2] :]

    def energy(row: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = target.energy(torch.cat([trained[:, :-1], row], dim=1), trained, images)
        return value, gradient[:, -1:]

    row = minimise(energy, Mode(blocks=lesion, centre=lesion, factor=torch.linalg.cholesky(curvature)))
    return as_head(torch.cat([trained[:, :-1], row], dim=1))
