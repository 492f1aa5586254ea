"""MC dropout: a head whose input features are dropped at random when it is fitted, and when it predicts.

A sample is one head with a random set of feature columns set to zero and the others scaled up, for all voxels of a
case: dropout read as a distribution over weights. Source: Gal and Ghahramani 2016, arXiv:1506.02142, section 3.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from models.cells import Cells
from models.network import SegmentationNet
from models.parallel import one_thread_an_operation
from models.posteriors.likelihood import DEFAULT, Target, as_head, by_voxel, log_probability, loss_and_gradient
from models.posteriors.mode import centre_at

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
HELD_OUT = 0.25
"""Of the subjects, on whom the rates are compared."""
HEADS = 32
STEPS = 1000
STEP = 0.02


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DropoutPosterior:
    """mean: (8 C, F + 1). rate: probability that a feature is dropped. The bias always stays."""

    mean: Tensor
    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate must be in [0, 1), got {self.rate}")

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> "DropoutPosterior":
        """From what `state` gave; a temperature that has divided it divides the unit too."""
        return cls(mean=state["mean"], rate=float(state["rate"] / state["unit"]))

    @property
    def state(self) -> dict[str, Tensor]:
        """{"mean": (8 C, F + 1), "rate": (1,), "unit": (1,)}."""
        return {"mean": self.mean, "rate": torch.tensor([self.rate]), "unit": torch.ones(1)}

    def sample(self, n: int, *, seed: int) -> Tensor:
        """(n, 8 C, F + 1), by scrambled Sobol points: each feature is dropped as often as it should be."""
        size = self.mean.shape[1] - 1
        engine = torch.quasirandom.SobolEngine(size, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        kept = (engine.draw(n) >= self.rate).float() / (1 - self.rate)
        return self.mean * torch.cat([kept, torch.ones(n, 1)], dim=1)[:, None]


@one_thread_an_operation()
def fit(
    head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, rates: Sequence[float] = RATES
) -> DropoutPosterior:
    """Refitted under dropout at the rate of greatest predictive likelihood on subjects that the refit did not see."""
    subjects = sorted({cells.subject for cells in images})
    aside = set(subjects[: max(1, round(HELD_OUT * len(subjects)))])
    seen = [cells for cells in images if cells.subject not in aside]
    unseen = [cells for cells in images if cells.subject in aside]
    losses = {rate: predictive_loss(refit(head, seen, target, rate), unseen) for rate in rates}
    return refit(head, images, target, min(losses, key=losses.__getitem__))


@one_thread_an_operation()
def refit(head: Tensor, images: Sequence[Cells], target: Target, rate: float) -> DropoutPosterior:
    """Minimum of the expected loss over masks, one image and one mask a step; averaged over the last half of the steps.

    The optimiser is Adam (Kingma and Ba 2015, arXiv:1412.6980) with the rate falling to zero.
    """
    generator = torch.Generator().manual_seed(0)
    trained, centre = by_voxel(head), centre_at(head, images, target).float()
    weight = trained.clone().requires_grad_()
    optimiser = torch.optim.Adam([weight], lr=STEP)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=STEPS)
    masks = DropoutPosterior(mean=torch.ones(1, head.shape[1]), rate=rate).sample(STEPS, seed=0)
    average = torch.zeros_like(trained)
    for step in range(STEPS):
        if step % len(images) == 0:
            order = torch.randperm(len(images), generator=generator).tolist()
        with torch.no_grad():
            masked = weight * masks[step]
            _, slope = loss_and_gradient(masked, images[order[step % len(images)]])
            pull = target.precision / len(images) * (weight - centre)
            weight.grad = slope.float() * masks[step] / target.kappa + pull
        optimiser.step()
        falling.step()
        average += (weight.detach() - average) / max(1, step + 1 - STEPS // 2)
    return DropoutPosterior(mean=as_head(average), rate=rate)


def predictive_loss(posterior: DropoutPosterior, images: Sequence[Cells]) -> float:
    """-sum weight log mean_s p_s(class), nats, over HEADS samples."""
    heads = by_voxel(posterior.sample(HEADS, seed=0))
    total = 0.0
    for cells in images:
        truth = cells.classes[:, None]
        log_p = torch.stack([log_probability(blocks, cells).gather(1, truth)[:, 0] for blocks in heads])
        total -= float(((torch.logsumexp(log_p, dim=0) - math.log(HEADS)) * cells.weight).double().sum())
    return total


def naive_mc_dropout(network: SegmentationNet, image: Tensor, passes: int, *, seed: int) -> Tensor:
    """What is usually done: whole passes with dropout in the network left on. The baseline of the benchmark.

    Whole channels are dropped between the two convolutions of each block that has dropout, as the shipped trunk was
    trained. The network's own layers, single values after each convolution, it never saw; they stay off.
    image: (X, Y, Z). Returns the mean probability, (C, X, Y, Z).
    """
    hooks = [_drop_channels_before(block.conv2, rate) for block, rate in _blocks_with_dropout(network)]
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            total = sum((torch.softmax(network(image[None, None])[0], dim=0) for _ in range(passes)), torch.zeros(()))
            return total / passes
        finally:
            for hook in hooks:
                hook.remove()


def _blocks_with_dropout(network: nn.Module) -> Iterator[tuple[UnetBasicBlock, float]]:
    for block in (module for module in network.modules() if isinstance(module, UnetBasicBlock)):
        rates = {layer.p for layer in block.modules() if isinstance(layer, nn.Dropout)}
        yield from ((block, rate) for rate in rates)


def _drop_channels_before(layer: nn.Module, rate: float) -> RemovableHandle:
    return layer.register_forward_pre_hook(lambda _, inputs: functional.dropout3d(inputs[0], rate, training=True))
