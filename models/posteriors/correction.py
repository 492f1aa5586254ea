"""Move the head towards what humans corrected, and hold it where nothing was said.

The live head is the mode of a posterior given what it learnt from: the prior's centre is chosen so
(`models.posteriors.mode`). Images that it must not forget therefore exert no pull at the live head, only the curvature
of their loss: what a move costs them is its Bregman divergence. Corrected scans join as images whose pull counts, and
the new head is the mode. To second order this is elastic weight consolidation (Kirkpatrick et al. 2017,
arXiv:1612.00796, eq. 3) with the full Hessian in place of the Fisher diagonal.
"""

from collections.abc import Sequence

from torch import Tensor

from models.cells import Cells
from models.parallel import one_thread_an_operation
from models.posteriors.likelihood import DEFAULT, Target, as_head
from models.posteriors.mode import mode_at, refit


@one_thread_an_operation()
def correct_head(
    head: Tensor, held: Sequence[Cells], corrected: Sequence[Cells], *, target: Target = DEFAULT
) -> Tensor:
    """The mode given images to hold and corrected ones, (8 C, F + 1). head: the live one."""
    return as_head(refit(mode_at(head, held, target), [*held, *corrected], target))
