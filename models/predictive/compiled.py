"""The rule of `models.predictive.rule` compiled by numba: a block of voxels at a time, which stays in a core's cache.

In torch the same is two dozen operations, each of which reads and writes all its numbers. Logits are in bits, so that
exponentials are powers of two.
"""

import numpy as np
from numpy.typing import NDArray

from models.predictive import rule
from models.predictive.compiling import compiled

Array = NDArray[np.float32]

BLOCK = 256
"""Voxels at a time."""
LOWEST = np.float32(-126)
"""2 to this is the smallest number of full precision."""
SMALLEST = np.float32(rule.SMALLEST)
ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
NATS = np.float32(np.log(2))
"""In a bit."""
ROOT_HALF = np.float32(0.5**0.5).view(np.int32)
MANTISSA, BIAS = np.int32(23), np.int32(127)
OF_EXP2 = tuple(np.float32(np.log(2) ** k / factorial) for k, factorial in enumerate((1, 1, 2, 6, 24, 120, 720)))
"""Taylor series of 2^x."""
OF_LOG2 = tuple(np.float32(2 / np.log(2) / k) for k in (1, 3, 5, 7))
"""log2(m) is the sum of these times the odd powers of (m - 1) / (m + 1)."""


@compiled
def exp2(x: np.float32) -> np.float32:
    """2^x for x from LOWEST to 127; relative error under 3e-7."""
    whole = np.floor(x + HALF)
    f = x - whole
    c = OF_EXP2
    series = c[0] + f * (c[1] + f * (c[2] + f * (c[3] + f * (c[4] + f * (c[5] + f * c[6])))))
    power = np.int32(np.int32(np.int32(whole) + BIAS) << MANTISSA)
    return series * power.view(np.float32)  # type: ignore[no-any-return]


@compiled
def log2(x: np.float32) -> np.float32:
    """Of a positive number of full precision; error under 3e-7, or as much of the logarithm."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32(np.int32(bits - ROOT_HALF) >> MANTISSA)
    m = np.int32(bits - np.int32(exponent << MANTISSA)).view(np.float32)
    s = (m - ONE) / (m + ONE)
    q = s * s
    c = OF_LOG2
    return np.float32(exponent) + s * (c[0] + q * (c[1] + q * (c[2] + q * c[3])))


@compiled
def row() -> Array:
    """Rows are arrays of their own, which tells the compiler that writing to one changes no other."""
    return np.empty(BLOCK, np.float32)


@compiled
def fill_healthy(
    odds: Array, k: int, start: int, log_ratio: Array, power: Array, top: Array, z: Array, t: Array
) -> None:
    """2^y of the healthy classes, (H, BLOCK), y the log odds with the prior less their largest, which becomes top.

    odds: (C - 1, K, N), bits, against the first class; the k-th are taken, of the n voxels from `start` on.
    log_ratio: (H, BLOCK), bits, of these voxels. z, t: (n,), become the sums of 2^y and of y 2^y.
    """
    n, stop = z.size, start + z.size
    first = log_ratio[0, :n]
    _start(first, top, z, t)
    for c in range(1, len(log_ratio)):
        _raise(top, odds[c - 1, k, start:stop], log_ratio[c, :n])
    _add_power(ZERO, first, first, top, power[0, :n], z, t)
    for c in range(1, len(log_ratio)):
        _add_power(ONE, odds[c - 1, k, start:stop], log_ratio[c, :n], top, power[c, :n], z, t)


@compiled
def fill_lesion(
    odds: Array, k: int, start: int, temperature: np.float32, p: Array, log_p: Array, rest: Array, top: Array
) -> None:
    """p of the lesion, log p in bits, and what that leaves to the others, (n,): by the logits as they were.

    odds: as in `fill_healthy`, the lesion's last. top: becomes the largest of the logits.
    """
    n, stop = p.size, start + p.size
    for i in range(n):
        top[i] = ZERO
        rest[i] = ZERO
    for c in range(len(odds)):
        _raise_warmer(top, odds[c, k, start:stop], temperature)
    _add_warmer(rest, top, top, ZERO)
    for c in range(len(odds) - 1):
        _add_warmer(rest, top, odds[c, k, start:stop], temperature)
    _close_lesion(odds[len(odds) - 1, k, start:stop], temperature, top, rest, p, log_p)


@compiled
def _close_lesion(odds: Array, temperature: np.float32, top: Array, rest: Array, p: Array, log_p: Array) -> None:
    for i in range(p.size):
        y = max(temperature * odds[i] - top[i], LOWEST)
        power = exp2(y)
        z = rest[i] + power
        p[i] = power / z
        log_p[i] = y - log2(z)
        rest[i] = max(rest[i] / z, SMALLEST)


@compiled
def fill_probability(
    odds: Array, k: int, start: int, log_ratio: Array, temperature: np.float32, p: Array, log_p: Array
) -> None:
    """p and log p, bits, of all classes, (C, BLOCK), the last of which is the lesion. Else see `fill_healthy`."""
    n, healthy = min(odds.shape[2] - start, BLOCK), len(log_ratio)
    top, z, t, share, log_share = row()[:n], row()[:n], row()[:n], row()[:n], row()[:n]
    fill_lesion(odds, k, start, temperature, p[healthy, :n], log_p[healthy, :n], share, top)
    fill_healthy(odds, k, start, log_ratio, p, top, z, t)
    _share(top, z, share, log_share)
    _scale(ZERO, log_ratio[0, :n], log_ratio[0, :n], share, log_share, p[0, :n], log_p[0, :n])
    for c in range(1, healthy):
        here = odds[c - 1, k, start : start + n]
        _scale(ONE, here, log_ratio[c, :n], share, log_share, p[c, :n], log_p[c, :n])


@compiled
def _share(top: Array, z: Array, share: Array, log_share: Array) -> None:
    """share becomes what 2^y is multiplied by, log_share what is added to the log odds with the prior."""
    for i in range(z.size):
        share[i] /= z[i]
        log_share[i] = log2(share[i]) - top[i]


@compiled
def _scale(
    some: np.float32, odds: Array, log_ratio: Array, share: Array, log_share: Array, p: Array, log_p: Array
) -> None:
    """some: ONE, or ZERO where the odds count for nothing."""
    for i in range(p.size):
        p[i] *= share[i]
        log_p[i] = some * odds[i] + log_ratio[i] + log_share[i]


@compiled
def raise_likeliest(p: Array, c: np.int32, top: Array, likeliest: NDArray[np.int32]) -> None:
    """top becomes the larger of p and top, and likeliest c where that is p."""
    for i in range(p.size):
        better = p[i] > top[i]
        likeliest[i] = c if better else likeliest[i]
        top[i] = p[i] if better else top[i]


@compiled
def _start(x: Array, top: Array, z: Array, t: Array) -> None:
    for i in range(x.size):
        top[i] = x[i]
        z[i] = ZERO
        t[i] = ZERO


@compiled
def _raise(top: Array, odds: Array, log_ratio: Array) -> None:
    for i in range(top.size):
        top[i] = max(top[i], odds[i] + log_ratio[i])


@compiled
def _raise_warmer(top: Array, odds: Array, temperature: np.float32) -> None:
    for i in range(top.size):
        top[i] = max(top[i], temperature * odds[i])


@compiled
def _add_warmer(z: Array, top: Array, odds: Array, temperature: np.float32) -> None:
    for i in range(z.size):
        z[i] += exp2(max(temperature * odds[i] - top[i], LOWEST))


@compiled
def _add_power(some: np.float32, odds: Array, log_ratio: Array, top: Array, power: Array, z: Array, t: Array) -> None:
    """some: ONE, or ZERO where the odds count for nothing."""
    for i in range(power.size):
        y = max(some * odds[i] + log_ratio[i] - top[i], LOWEST)
        here = exp2(y)
        power[i] = here
        z[i] += here
        t[i] += y * here
