"""Mean-field variational inference: the closest Gaussian with independent weights, by stochastic gradients.

q = N(mean, diag sd^2) minimises KL(q || target) = E_q[loss] / kappa + KL(q || prior) up to a constant. With kappa = 1
the KL to the prior would vanish against millions of cells. Sources: Blundell et al. 2015, arXiv:1505.05424, eq. 1;
gradients by local reparametrisation (one noise a logit, not one a weight): Kingma et al. 2015, arXiv:1506.02557.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.cells import Cells
from models.parallel import one_thread_an_operation
from models.posteriors.gaussian import GaussianPosterior
from models.posteriors.likelihood import DEFAULT, Target, as_head
from models.posteriors.mode import mode_at

STEPS = 300
IMAGES_A_STEP = 8
STEP_SDS = 0.05


@one_thread_an_operation()
def fit(
    head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, steps: int = STEPS, seed: int = 0
) -> GaussianPosterior:
    """From the mode and the SDs that are best if the target is Gaussian, 1 / sqrt of the Hessian's diagonal.

    Adam moves the mean in units of those SDs, and the logarithm of the SD; its steps shrink to 0 along a cosine.
    """
    generator, mode = torch.Generator().manual_seed(seed), mode_at(head, images, target)
    unit = (mode.factor.square().sum(dim=2)).rsqrt().float().view(mode.blocks.shape)
    shift, log_scale = torch.zeros_like(unit, requires_grad=True), torch.zeros_like(unit, requires_grad=True)
    optimiser = torch.optim.Adam([shift, log_scale], lr=STEP_SDS)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        mean, sd = mode.blocks.float() + unit * shift, unit * log_scale.exp()
        drawn = torch.randperm(len(images), generator=generator)[:IMAGES_A_STEP].tolist()
        share = len(images) / len(drawn) / target.kappa
        loss = sum((expected_loss(mean, sd, images[i], generator) for i in drawn), start=torch.zeros(()))
        divergence = (
            0.5 * target.precision * ((mean - mode.centre.float()).square() + sd.square()).sum() - sd.log().sum()
        )
        optimiser.zero_grad()
        (share * loss + divergence).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    mean, sd = mode.blocks.float() + unit * shift.detach(), unit * log_scale.detach().exp()
    return GaussianPosterior(mean=as_head(mean), sd=as_head(sd), directions=torch.zeros(0, *head.shape))


def expected_loss(mean: Tensor, sd: Tensor, cells: Cells, generator: torch.Generator) -> Tensor:
    """One unbiased draw of E_q[loss], by logits that are N(mean f, sd^2 f^2). mean, sd: (8, C, D)."""
    centre = (mean.flatten(0, 1) @ cells.features).view(*mean.shape[:2], -1)
    spread = (sd.flatten(0, 1).square() @ cells.features.square()).view(centre.shape).sqrt()
    logits = centre + spread * torch.randn(centre.shape, generator=generator)
    log_p = torch.log_softmax(logits, dim=1).gather(1, cells.classes[:, None])[:, 0]
    return -(log_p * cells.weight).sum()
