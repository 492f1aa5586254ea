"""The small Bayesian head of a whole case: multinomial logistic regression with a Laplace posterior.

The log posterior of the weights is concave, so its maximum is unique and Newton's method finds it; the Hessian there is
exact. Every case counts as independent, also where several come from one label map: the posterior is too narrow where
such cases are alike; `models.posteriors.laplace` counts label maps instead. Sources: MacKay 1992, Neural Computation
4(5); Bishop 2006, Pattern Recognition and Machine Learning, 4.4.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

STEPS = 100
TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """K classes from D descriptors.

    centre, scale: (D,), what standardises descriptors. weights: (K, D + 1) at the posterior mode, the bias last.
    factor: (K (D + 1), K (D + 1)), L with L L^T the posterior covariance of the weights in row-major order.
    """

    centre: Tensor
    scale: Tensor
    weights: Tensor
    factor: Tensor

    def __post_init__(self) -> None:
        size, n = len(self.centre), self.weights.numel()
        if self.scale.shape != (size,) or self.weights.shape[1:] != (size + 1,) or self.factor.shape != (n, n):
            shapes = [tuple(t.shape) for t in (self.centre, self.scale, self.weights, self.factor)]
            raise ValueError(f"centre, scale, weights and factor do not fit each other: {shapes}")

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> "Classifier":
        """What `state` gave."""
        return cls(centre=state["centre"], scale=state["scale"], weights=state["weights"], factor=state["factor"])

    @property
    def state(self) -> dict[str, Tensor]:
        """Tensors to store."""
        return {"centre": self.centre, "scale": self.scale, "weights": self.weights, "factor": self.factor}

    def sample(self, descriptors: Tensor, n: int, *, seed: int) -> Tensor:
        """(n, K) class probabilities under n posterior samples of the weights; a descriptor that is NaN makes all NaN.

        descriptors: (D,). The logits of one case are jointly Gaussian, so they are drawn, and not the weights: exact,
        and K numbers a sample. Scrambled Sobol points: Buchholz, Wenzel and Mandt 2018, arXiv:1807.01604.
        """
        x = torch.cat([(descriptors - self.centre) / self.scale, torch.ones(1)]).double()
        if not bool(torch.isfinite(x).all()):
            return torch.full((n, len(self.weights)), math.nan, dtype=torch.float64)
        # Row a of the spread: how logit a moves with each of the standard normals behind the weights.
        spread = torch.einsum("d,kdp->kp", x, self.factor.double().view(*self.weights.shape, -1))
        covariance = spread @ spread.T
        # The covariance may be singular to rounding: a symmetric root needs no positive definite matrix.
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0).sqrt()
        engine = torch.quasirandom.SobolEngine(len(root), scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        z = torch.special.ndtri(engine.draw(n, dtype=torch.float64).clamp(1e-6, 1 - 1e-6))
        return torch.softmax(self.weights.double() @ x + z @ root.T, dim=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mode:
    """weights: (K, D) at the maximum of the log posterior. hessian: (K D, K D) of minus the log posterior there.

    log_evidence: Laplace's approximation of the log marginal likelihood. Source: MacKay 1992, eq. 2.
    """

    weights: Tensor
    hessian: Tensor
    log_evidence: float


def fit_classifier(descriptors: Tensor, classes: Tensor, n_classes: int, precision: Tensor) -> Classifier:
    """Standardise, find the mode, Laplace. descriptors: (n, D). classes: (n,) int64. precision: (D,) of the prior.

    The weights have independent zero-mean Gaussian priors of that precision; the bias has the smallest of them.
    """
    centre = descriptors.mean(dim=0)
    scale = descriptors.std(dim=0).clamp_min(1e-6)
    design = torch.cat([(descriptors - centre) / scale, torch.ones(len(descriptors), 1)], dim=1)
    mode = find_mode(design.double(), classes, n_classes, torch.cat([precision, precision.min()[None]]).double())
    factor = torch.linalg.cholesky(torch.linalg.inv(mode.hessian))
    return Classifier(centre=centre, scale=scale, weights=mode.weights.float(), factor=factor.float())


def find_mode(design: Tensor, classes: Tensor, n_classes: int, precision: Tensor) -> Mode:
    """Newton's method with halved steps. design: (n, D) float64. classes: (n,) int64. precision: (D,) float64, > 0."""
    truth = torch.nn.functional.one_hot(classes, n_classes).double()
    prior = precision.repeat(n_classes)
    weights = torch.zeros(n_classes, design.shape[1], dtype=torch.float64)
    loss = _loss(weights, design, truth, precision)
    for _ in range(STEPS):
        p = torch.softmax(design @ weights.T, dim=1)
        gradient = (p - truth).T @ design + precision * weights
        step = torch.linalg.solve(_hessian(p, design, prior), gradient.flatten()).view_as(weights)
        decrement = float((step * gradient).sum())
        if decrement < TOLERANCE:
            break
        size = 1.0
        while (moved := _loss(weights - size * step, design, truth, precision)) > loss - 0.25 * size * decrement:
            size /= 2
        weights, loss = weights - size * step, moved
    hessian = _hessian(torch.softmax(design @ weights.T, dim=1), design, prior)
    evidence = 0.5 * prior.log().sum() - loss - 0.5 * torch.logdet(hessian)
    return Mode(weights=weights, hessian=hessian, log_evidence=float(evidence))


def _loss(weights: Tensor, design: Tensor, truth: Tensor, precision: Tensor) -> Tensor:
    """Minus the log posterior, without the prior's constant."""
    log_p = torch.log_softmax(design @ weights.T, dim=1)
    return 0.5 * (precision * weights.square()).sum() - (truth * log_p).sum()


def _hessian(p: Tensor, design: Tensor, prior: Tensor) -> Tensor:
    """sum_n (diag p - p p^T) x x^T + prior, (K D, K D). Source: Bishop 2006, eq. 4.110."""
    n_classes, size = p.shape[1], design.shape[1]
    out = torch.zeros(n_classes, size, n_classes, size, dtype=torch.float64)
    for a in range(n_classes):
        for b in range(a, n_classes):
            curvature = p[:, a] * (float(a == b) - p[:, b])
            out[a, :, b] = out[b, :, a] = (design * curvature[:, None]).T @ design
    return out.view(n_classes * size, n_classes * size) + torch.diag(prior)
