"""What a training learns from and is checked on: synthetic images, each a function of the seed and its number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.label_maps import LabelMap
from models.network import WIDTHS
from models.synthesis import LesionShape, Recipe, normalised, synthesise
from models.training import seed_of
from triage.errors import TriageError

Shape = tuple[int, int, int]
FIELDS: tuple[tuple[Shape, float, float], ...] = (
    ((160, 192, 160), 0.55, 20.0),
    ((192, 224, 192), 0.30, 26.0),
    ((192, 224, 224), 0.10, 32.0),
    ((256, 256, 256), 0.05, 36.0),
)
"""Field of view, how often it is drawn, and how far from its middle a head may lie, mm."""
TRAINING, CHECK = 1, 2
"""Streams of random numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What to train. spacing: mm. shape: one field of view for every image, None for those of FIELDS.

    subjects: label maps to train on, None for all that are not held out. held_out: the last ones, for the checks.
    every: iterations between two checkpoints, each with a report. checks: images a check.
    healthy_t1: nothing but healthy heads on T1 without contrast agent, which small networks learn in few iterations.
    """

    iterations: int = 60_000
    every: int = 500
    batch: int = 1
    spacing: float = 1.0
    widths: Sequence[int] = WIDTHS
    shape: Shape | None = None
    subjects: int | None = None
    held_out: int = 2
    checks: int = 6
    learning_rate: float = 1.5e-3
    healthy_t1: bool = False
    seed: int = 0


def divided(maps: Sequence[LabelMap], options: Options) -> tuple[Sequence[LabelMap], Sequence[LabelMap]]:
    """Those to learn from and those to check on; without any held out, the checks are on what was learned."""
    learned = maps[: max(0, len(maps) - options.held_out)][: options.subjects]
    if len(learned) < (options.subjects or 1):
        raise TriageError(
            f"{len(maps)} label maps, {options.held_out} held out, leave {len(learned)} to learn from.",
            do="Give more label maps, or a smaller --subjects or --held-out.",
        )
    return learned, maps[len(maps) - options.held_out :] or learned


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Synthetic images, each a function of the seed and its number. maps: (X, Y, Z) int16, on the device."""

    options: Options
    maps: Sequence[Tensor]
    shapes: Sequence[LesionShape]

    def batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """Images (N, 1, X, Y, Z) normalised, and classes (N, X, Y, Z) int64, of one iteration."""
        generator = torch.Generator().manual_seed(seed_of(self.options.seed, iteration, TRAINING))
        shares = torch.tensor([share for _, share, _ in FIELDS])
        shape, _, shift = FIELDS[int(torch.multinomial(shares, 1, generator=generator))]
        recipe = self._recipe(shape, shift)
        picks = torch.randint(len(self.maps), (self.options.batch,), generator=generator).tolist()
        drawn = [synthesise(self.maps[pick], recipe, generator, self.shapes) for pick in picks]
        images = torch.stack([normalised(one.image) for one in drawn])[:, None]
        return images, torch.stack([one.classes for one in drawn]).long()

    def check(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (X, Y, Z) and classes (X, Y, Z) int64, always the same ones."""
        shape, _, shift = FIELDS[0]
        recipe = self._recipe(shape, shift)
        for number in range(self.options.checks):
            generator = torch.Generator().manual_seed(seed_of(number, CHECK))
            drawn = synthesise(self.maps[number % len(self.maps)], recipe, generator, self.shapes)
            yield normalised(drawn.image), drawn.classes.long()

    def _recipe(self, shape: Shape, shift_mm: float) -> Recipe:
        whole = Recipe(shape=self.options.shape or shape, shift_mm=shift_mm, voxel_mm=self.options.spacing)
        return whole.healthy_t1() if self.options.healthy_t1 else whole
