"""Whether Markov chains ran long enough to be a reference."""

import torch
from torch import Tensor


def split_rhat(chains: Tensor) -> Tensor:
    """Potential scale reduction of every quantity, near 1 when chains agree. chains: (M, N, ...). Returns (...).

    Source: Gelman et al. 2013, Bayesian Data Analysis, eq. 11.4, each chain split into halves.
    """
    half = chains.shape[1] // 2
    halves = torch.cat([chains[:, :half], chains[:, half : 2 * half]]).double()
    within = halves.var(dim=1).mean(dim=0)
    between = halves.mean(dim=1).var(dim=0)
    return ((half - 1) / half + between / within).sqrt()


def effective_size(chains: Tensor) -> Tensor:
    """How many independent draws tell as much about the mean. chains: (M, N, ...). Returns (...).

    Sources: Geyer 1992, Statist. Sci. 7(4) (pairs of lags are summed while positive); Vehtari et al. 2021, Bayesian
    Anal. 16(2), eq. 10-12 (over several chains; at most M N log10(M N)).
    """
    m, n = chains.shape[:2]
    x = chains.double().flatten(2)
    spectrum = torch.fft.rfft(x - x.mean(dim=1, keepdim=True), n=2 * n, dim=1)
    covariance = torch.fft.irfft(spectrum.abs().square(), n=2 * n, dim=1)[:, :n].mean(dim=0) / n
    within = covariance[0] * n / (n - 1)
    between = x.mean(dim=1).var(dim=0) if m > 1 else torch.zeros_like(within)
    correlation = 1 - (within - covariance) / (within * (n - 1) / n + between)
    pairs = correlation[: n // 2 * 2].unflatten(0, (-1, 2)).sum(dim=1)
    pairs = torch.cummin(pairs, dim=0).values.clamp_min(0)
    time = (2 * pairs.sum(dim=0) - 1).clamp_min(1 / torch.log10(torch.tensor(m * n)))
    return (m * n / time).view(chains.shape[2:])
