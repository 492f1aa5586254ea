"""The likelihood of the linear head on labelled cells, and the posterior that every method here approximates.

A head gives each of a cell's eight voxels a softmax of its own, so its likelihood is that of eight independent softmax
regressions. They are kept side by side as blocks (8, C, D), D = F + 1, one block a voxel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.cells import Cells
from models.network import SUBVOXELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """p(w | cells) ~ exp(-loss / kappa) N(w; centre, I / precision): the posterior that is approximated and sampled.

    kappa: design effect, how many cells tell as much as one independent cell would (`design_effect`). precision: of the
    prior, which holds what the cells leave open.
    """

    kappa: float = 700.0
    precision: float = 100.0

    def energy(
        self, blocks: Tensor, centre: Tensor, images: Sequence[Cells], weights: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """-log p up to a constant, (8,) float64, and its gradient (8, C, D) float64.

        blocks, centre: (8, C, D), where to evaluate, and of the prior. weights: (images,), 1 where none are given.
        """
        change = (blocks - centre).double()
        energy = 0.5 * self.precision * change.square().sum(dim=(1, 2))
        gradient = self.precision * change
        for number, cells in enumerate(images):
            share = (1.0 if weights is None else float(weights[number])) / self.kappa
            loss, slope = loss_and_gradient(blocks.float(), cells)
            energy += share * loss
            gradient += share * slope
        return energy, gradient

    def hessian(self, blocks: Tensor, images: Sequence[Cells]) -> Tensor:
        """Second derivative of the energy, (8, C D, C D) float64."""
        size = blocks[0].numel()
        total = sum((hessian(blocks.float(), cells) for cells in images), start=torch.zeros(()))
        return total / self.kappa + self.precision * torch.eye(size, dtype=torch.float64)


DEFAULT = Target()


def by_voxel(head: Tensor) -> Tensor:
    """(..., 8 C, D) with row c * 8 + v -> blocks (..., 8, C, D)."""
    return head.reshape(*head.shape[:-2], -1, SUBVOXELS, head.shape[-1]).transpose(-3, -2)


def as_head(blocks: Tensor) -> Tensor:
    """The inverse of `by_voxel`, in single precision."""
    return blocks.transpose(-3, -2).flatten(-3, -2).float()


def log_probability(blocks: Tensor, cells: Cells) -> Tensor:
    """log softmax of every voxel. blocks: (8, C, D). Returns (8, C, n)."""
    logits = (blocks.flatten(0, 1) @ cells.features).view(*blocks.shape[:2], -1)
    log_p: Tensor = torch.log_softmax(logits, dim=1)
    return log_p


def log_loss(blocks: Tensor, cells: Cells) -> Tensor:
    """-sum_n weight_n log p(class_n) of each voxel, nats: (8,) float64."""
    log_p = log_probability(blocks, cells).gather(1, cells.classes[:, None])[:, 0]
    return -(log_p * cells.weight).double().sum(dim=1)


def loss_and_gradient(blocks: Tensor, cells: Cells) -> tuple[Tensor, Tensor]:
    """`log_loss` and its derivative sum_n weight_n (p_n - e_class) f_n^T: (8,) and (8, C, D), float64."""
    log_p = log_probability(blocks, cells)
    truth = cells.classes[:, None]
    loss = -(log_p.gather(1, truth)[:, 0] * cells.weight).double().sum(dim=1)
    residual = log_p.exp_()
    residual.scatter_add_(1, truth, torch.full_like(truth, -1.0, dtype=residual.dtype))
    gradient = (residual * cells.weight).flatten(0, 1) @ cells.features.T
    return loss, gradient.view(blocks.shape).double()


def hessian(blocks: Tensor, cells: Cells) -> Tensor:
    """Second derivative of `log_loss`, sum_n weight_n (diag p - p p^T) x f f^T: (8, C D, C D) float64.

    Both factors are symmetric, so one product of their upper triangles holds it all.
    """
    n_voxels, n_classes, size = blocks.shape
    p = torch.softmax((blocks.flatten(0, 1) @ cells.features).view(n_voxels, n_classes, -1), dim=1)
    a, b = torch.triu_indices(n_classes, n_classes)
    i, j = torch.triu_indices(size, size)
    spread = (p[:, a] * ((a == b).float()[:, None] - p[:, b]) * cells.weight).flatten(0, 1)
    packed = (spread @ (cells.features[i] * cells.features[j]).T).view(n_voxels, len(a), len(i)).double()
    rows = packed.new_zeros(n_voxels, len(a), size, size)
    rows[:, :, i, j] = rows[:, :, j, i] = packed
    out: Tensor = rows.new_zeros(n_voxels, n_classes, n_classes, size, size)
    out[:, a, b] = out[:, b, a] = rows
    return out.transpose(2, 3).reshape(n_voxels, n_classes * size, n_classes * size)


def subject_gradients(blocks: Tensor, images: Sequence[Cells]) -> Tensor:
    """Gradient of each subject's loss, (K, 8, C, D) float64, subjects in alphabetical order."""
    subjects = sorted({cells.subject for cells in images})
    gradients = torch.zeros(len(subjects), *blocks.shape, dtype=torch.float64)
    for cells in images:
        gradients[subjects.index(cells.subject)] += loss_and_gradient(blocks.float(), cells)[1]
    return gradients


def design_effect(blocks: Tensor, images: Sequence[Cells]) -> float:
    """kappa = tr(H^+ J) / rank H: how much wider than under independent cells the head's variance is.

    H is the information as if cells were independent, J the variance of the summed gradient when subjects are.
    Source: the generalised design effects of Skinner, Holt and Smith 1989, Analysis of Complex Surveys, ch. 2.
    """
    information = sum((hessian(blocks.float(), cells) for cells in images), start=torch.zeros(()))
    gradients = subject_gradients(blocks, images).flatten(2)
    centred = gradients - gradients.mean(dim=0)
    inverse = torch.linalg.pinv(information, rtol=1e-7, hermitian=True)
    rank = torch.linalg.matrix_rank(information, rtol=1e-7, hermitian=True)
    trace = torch.einsum("kvi,vij,kvj->v", centred, inverse, centred) * len(gradients) / (len(gradients) - 1)
    return float((trace / rank).mean())
