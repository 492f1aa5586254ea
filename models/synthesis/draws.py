"""Random numbers of one image, and the smooth fields made of them."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

Key = TypeVar("Key", bound=str)


class Draws:
    """Random numbers for one image, all from one CPU generator.

    Numbers are drawn on the CPU; fields on the image's own device, from a generator there that the first one seeds.
    """

    def __init__(self, generator: torch.Generator, device: torch.device | str = "cpu") -> None:
        self.generator = generator
        self.device = torch.device(device)
        self._fields = generator
        if self.device.type != "cpu":
            seed = int(torch.randint(2**62, (), generator=generator))
            self._fields = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """One number in [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self.generator))

    def log_uniform(self, low: float, high: float) -> float:
        """One number in [low, high), its logarithm uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def uniforms(self, n: int, low: float, high: float) -> Tensor:
        """(n,) numbers in [low, high), on the CPU."""
        return low + (high - low) * torch.rand(n, generator=self.generator)

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.uniform(0, 1) < probability

    def below(self, n: int) -> int:
        """One of 0 ... n - 1."""
        return int(torch.randint(n, (), generator=self.generator))

    def pick(self, weights: Mapping[Key, float]) -> Key:
        """A key, each as often as its weight says."""
        at = self.uniform(0, sum(weights.values()))
        for key, weight in weights.items():
            at -= weight
            if at < 0:
                return key
        return list(weights)[-1]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, on the device."""
        return torch.randn(*shape, generator=self._fields, device=self.device)

    def smooth(self, shape: Sequence[int], nodes: Sequence[int]) -> Tensor:
        """(X, Y, Z) normal at `nodes` points an axis, trilinear between them."""
        coarse = self.normal(1, 1, *[max(2, n) for n in nodes])
        return functional.interpolate(coarse, size=list(shape), mode="trilinear", align_corners=True)[0, 0]
