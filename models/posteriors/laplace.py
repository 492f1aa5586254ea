"""Laplace posterior of the head with the subject-clustered sandwich covariance.

Sigma = P J P with P = (H + lambda I)^-1 and J = sum_k g_k g_k^T over subjects k: the voxels of one subject are not
independent, so the subject is the unit of information (Huber 1967; Liang and Zeger 1986, Biometrika 73(1), eq. 2.5).
J has the rank of the number of subjects K, so a sample is exact and cheap: mean + sum_k z_k P g_k, z ~ N(0, I).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaplacePosterior:
    """mean: (8 C, F + 1). directions: (K, 8 C, F + 1), P g_k: to first order, what leaving subject k out changes."""

    mean: Tensor
    directions: Tensor

    def __post_init__(self) -> None:
        if self.directions.shape[1:] != self.mean.shape:
            raise ValueError(f"directions {tuple(self.directions.shape)} do not fit a head {tuple(self.mean.shape)}")

    @classmethod
    def from_state(cls, head: Tensor, state: Mapping[str, Tensor]) -> "LaplacePosterior":
        """state: {"directions": (K, 8 C, F + 1)}."""
        return cls(mean=head, directions=state["directions"].float())

    def sample(self, n: int, *, seed: int) -> Tensor:
        """(n, 8 C, F + 1) by scrambled Sobol points, which integrate with fewer samples than random ones.

        Source: Buchholz, Wenzel and Mandt 2018, arXiv:1807.01604.
        """
        engine = torch.quasirandom.SobolEngine(len(self.directions), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        uniform = engine.draw(n, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
        z = torch.special.ndtri(uniform).float()
        return self.mean + torch.einsum("nk,kij->nij", z, self.directions)


def sandwich_directions(hessian: Tensor, gradients: Tensor, ridge: float) -> Tensor:
    """P g_k of one block. hessian: (D, D) of the summed loss; gradients: (K, D) per subject. Returns (K, D).

    The gradients are centred: away from the optimum of this very loss their mean is a bias of the head, no variance.
    """
    eye = torch.eye(len(hessian), dtype=hessian.dtype)
    centred = gradients - gradients.mean(dim=0)
    directions: Tensor = torch.linalg.solve(hessian + ridge * eye, centred.T).T
    return directions
