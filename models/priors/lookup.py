"""The atlas as a table with one row a voxel: one look-up fetches every class, and the gradient comes with the value."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.priors.atlas import Atlas


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lookup:
    """rows: (I J K, H), last axis of the atlas fastest. linear (3, 3), shift (3,): MNI mm to atlas index."""

    rows: Tensor
    shape: tuple[int, int, int]
    linear: Tensor
    shift: Tensor

    @classmethod
    def of(cls, atlas: Atlas) -> "Lookup":
        """A copy of the atlas: 30 ms and 47 MB at 2 mm, which every look-up wins back by reading memory in a row."""
        inverse = torch.from_numpy(np.linalg.inv(atlas.affine)).float()
        i, j, k = atlas.probability.shape[1:]
        rows = atlas.probability.flatten(1).T.contiguous()
        return cls(rows=rows, shape=(i, j, k), linear=inverse[:3, :3], shift=inverse[:3, 3])

    def log_likelihood(self, mm: Tensor, weights: Tensor) -> tuple[float, Tensor]:
        """Mean over points of sum_h q_h log pi_h(x), nats, and its gradient in x, (N, 3), nats per mm.

        mm: (N, 3). weights: (N, H), q. Trilinear, the edge value outside, as `Atlas.at`.
        """
        last = torch.tensor(self.shape) - 1
        index = mm @ self.linear.T + self.shift
        inside = (index >= 0) & (index <= last)
        index = index.clamp_min(0).minimum(last.float())
        low = index.long().minimum(last - 1)
        x, y, z = (index - low).T[..., None]
        corners = self._corners(low)
        dx, at = _between(corners, x[..., None, None])
        (dy, at), (_, dx) = _between(at, y[..., None]), _between(dx, y[..., None])
        (dz, p), (_, dx), (_, dy) = _between(at, z), _between(dx, z), _between(dy, z)
        share = weights / p
        slope = torch.stack([(share * d).sum(dim=1) for d in (dx, dy, dz)], dim=1) * inside
        return float((weights * torch.log(p)).sum()) / len(mm), slope @ self.linear / len(mm)

    def _corners(self, low: Tensor) -> Tensor:
        """Probability at the 8 corners of the cells whose low corners these are: (N, 3) -> (N, 2, 2, 2, H)."""
        _, j, k = self.shape
        steps = torch.tensor([(x * j + y) * k + z for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        first = (low * torch.tensor([j * k, k, 1])).sum(dim=1, keepdim=True)
        # index_select is 7 times faster here than rows[index].
        return self.rows.index_select(0, (first + steps).flatten()).view(len(low), 2, 2, 2, -1)


def _between(ends: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor]:
    """Difference of the two ends along axis 1, and the value between them."""
    difference = ends[:, 1] - ends[:, 0]
    return difference, torch.addcmul(ends[:, 0], fraction, difference)
