"""Hard-concrete gates on the feature channels: which of them the head can do without, found with the weights.

A gate is 0 or 1 with a probability of its own, and anything between, so that it can be fitted by gradient. Channels
whose gate is shut are taken out of the network by `remove_channels`: less to compute, nothing else changed.
Source: Louizos, Welling and Kingma 2018, arXiv:1712.01312; equations named below.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cells import Cells
from models.last_block import BLOCK
from models.network import SegmentationNet
from models.parallel import one_thread_an_operation
from models.posteriors.likelihood import DEFAULT, Target, as_head, by_voxel, loss_and_gradient

HEAT = 2 / 3
LOW, HIGH = -0.1, 1.1
"""The paper's beta, gamma and zeta."""
START = 3.0
"""log alpha of a gate at first, nearly always open."""
PENALTY_NATS = 100.0
STEPS = 1000
STEP, GATE_STEP = 0.02, 0.1
QUADRATURE = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GatesPosterior:
    """weight: (8 C, F + 1), the head before its gates. log_alpha: (F,), of each feature's gate. The bias has none."""

    weight: Tensor
    log_alpha: Tensor

    def __post_init__(self) -> None:
        if self.weight.shape[1] != len(self.log_alpha) + 1:
            raise ValueError(f"{len(self.log_alpha)} gates do not fit a head {tuple(self.weight.shape)}")

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> "GatesPosterior":
        """From what `state` gave; a temperature that has divided it divides the unit too."""
        return cls(weight=state["weight"], log_alpha=state["log_alpha"] / state["unit"])

    @property
    def state(self) -> dict[str, Tensor]:
        """{"weight": (8 C, F + 1), "log_alpha": (F,), "unit": (1,)}."""
        return {"weight": self.weight, "log_alpha": self.log_alpha, "unit": torch.ones(1)}

    @property
    def mean(self) -> Tensor:
        """(8 C, F + 1), by the mean of each gate over its uniform variable."""
        uniform = (torch.arange(QUADRATURE, dtype=torch.float64) + 0.5) / QUADRATURE
        return self._gated(gates(self.log_alpha.double(), uniform[:, None]).mean(dim=0)[None].float())[0]

    @property
    def kept(self) -> Tensor:
        """(F,) bool: the gate that is used without sampling (eq. 13) is not shut."""
        return torch.sigmoid(self.log_alpha) * (HIGH - LOW) + LOW > 0

    def sample(self, n: int, *, seed: int) -> Tensor:
        """(n, 8 C, F + 1), by scrambled Sobol points."""
        engine = torch.quasirandom.SobolEngine(len(self.log_alpha), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        uniform = engine.draw(n, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        return self._gated(gates(self.log_alpha.double(), uniform).float())

    def _gated(self, z: Tensor) -> Tensor:
        """(n, F) gates to (n, 8 C, F + 1) heads."""
        return self.weight * torch.cat([z, torch.ones(len(z), 1)], dim=1)[:, None]


def gates(log_alpha: Tensor, uniform: Tensor) -> Tensor:
    """Hard-concrete variables in [0, 1], eq. 10 and 11. log_alpha: (F,); uniform: (..., F) in (0, 1)."""
    soft = torch.sigmoid((torch.logit(uniform) + log_alpha) / HEAT)
    return (soft * (HIGH - LOW) + LOW).clamp(0, 1)


def open_probability(log_alpha: Tensor) -> Tensor:
    """P(gate > 0), eq. 12."""
    return torch.sigmoid(log_alpha - HEAT * math.log(-LOW / HIGH))


@one_thread_an_operation()
def fit(
    head: Tensor, images: Sequence[Cells], *, target: Target = DEFAULT, penalty_nats: float = PENALTY_NATS
) -> GatesPosterior:
    """Weights and gates of least expected energy plus penalty_nats for every channel that is open.

    One image and one draw of the gates a step; Adam with the rate falling to zero. The likelihood is tempered by the
    design effect, as everywhere here: counted by voxels, no penalty would shut a gate. Its slope at the trained head is
    taken off, as from every posterior here (`models.posteriors.mode`), on the gated weights: what shutting a gate costs
    is then the Bregman divergence of the loss, never a gain.
    """
    generator = torch.Generator().manual_seed(0)
    trained = by_voxel(head)
    tilt = target.energy(trained, trained, images)[1].float() / len(images)
    weight = trained.clone().requires_grad_()
    log_alpha = torch.full((head.shape[1] - 1,), START, requires_grad=True)
    optimiser = torch.optim.Adam([{"params": [weight], "lr": STEP}, {"params": [log_alpha], "lr": GATE_STEP}])
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=STEPS)
    bias = torch.ones(1)
    for step in range(STEPS):
        if step % len(images) == 0:
            order = torch.randperm(len(images), generator=generator).tolist()
        uniform = torch.rand(len(log_alpha), generator=generator).clamp(1e-6, 1 - 1e-6)
        gated = weight * torch.cat([gates(log_alpha, uniform), bias])
        _, slope = loss_and_gradient(gated.detach(), images[order[step % len(images)]])
        prior = 0.5 * target.precision * (weight - trained).square().sum()
        cost = prior + penalty_nats * open_probability(log_alpha).sum()
        optimiser.zero_grad()
        torch.autograd.backward([gated, cost / len(images)], [slope.float() / target.kappa - tilt, None])
        optimiser.step()
        falling.step()
    return GatesPosterior(weight=as_head(weight.detach()), log_alpha=log_alpha.detach())


def remove_channels(network: SegmentationNet, posterior: GatesPosterior) -> SegmentationNet:
    """The network with the gated mean head, without the features that are shut: its last convolution is thinner.

    Its outputs are those of the network with the gates that are used without sampling, eq. 13.
    """
    thin, keep = copy.deepcopy(network), posterior.kept
    n_in, n_kept = len(keep), int(keep.sum())
    z = (torch.sigmoid(posterior.log_alpha) * (HIGH - LOW) + LOW).clamp(0, 1)
    head = (posterior.weight[:, :-1] * z)[:, keep]
    norm, bias = f"{BLOCK}norm2", posterior.weight[:, -1]
    thin.set_submodule(f"{BLOCK}conv2.conv", nn.Conv3d(n_in, n_kept, 3, padding=1, bias=False))
    thin.set_submodule(norm, nn.InstanceNorm3d(n_kept, affine=True))
    thin.head = nn.Conv3d(n_kept, len(head), 1)
    weights = network.state_dict()
    cut = {name: weights[name][keep] for name in (f"{BLOCK}conv2.conv.weight", f"{norm}.weight", f"{norm}.bias")}
    thin.load_state_dict(weights | cut | {"head.weight": head[:, :, None, None, None], "head.bias": bias})
    return thin.eval().requires_grad_(False)
