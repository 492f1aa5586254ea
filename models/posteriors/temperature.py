"""One temperature for the point estimate: as sure as it was right on average. It cannot know where it is unsure.

Source: Guo et al. 2017, arXiv:1706.04599, section 4.2.
"""

from collections.abc import Sequence

from scipy import optimize
from torch import Tensor

from models.cells import Cells
from models.parallel import one_thread_an_operation
from models.posteriors.likelihood import by_voxel, log_loss
from models.posteriors.point import PointPosterior

RANGE = (0.2, 10.0)


@one_thread_an_operation()
def fit(head: Tensor, images: Sequence[Cells]) -> PointPosterior:
    """The trained head divided by the temperature of least loss. head: (8 C, F + 1)."""
    blocks = by_voxel(head)

    def loss(temperature: float) -> float:
        return sum(float(log_loss(blocks / temperature, cells).sum()) for cells in images)

    temperature = optimize.minimize_scalar(loss, bounds=RANGE, method="bounded", options={"xatol": 1e-3}).x
    return PointPosterior(mean=head / float(temperature))
