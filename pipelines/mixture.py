"""The stated mixture: what may be wrong with a scan that the gate is certified on, and how often.

Each subject has one draw by a seed of its own: neither the order of the table nor who else is in it changes it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.artefacts import smooth_field
from pipelines.degrade import DEGRADATIONS, LEVELS
from triage.anatomy import BRAIN
from triage.case import Volume

CLEAN, LESION = "clean", "lesion"
SHARES: Mapping[str, float] = {
    CLEAN: 0.4,
    "noise": 0.6 / 7,
    "motion": 0.6 / 7,
    "bias_field": 0.6 / 7,
    "thick_slices": 0.6 / 7,
    "cropping": 0.6 / 7,
    "contrast_inversion": 0.6 / 7,
    LESION: 0.6 / 7,
}
"""Kind of damage -> how often it is drawn."""
LEVEL_SHARES = (5 / 15, 4 / 15, 3 / 15, 2 / 15, 1 / 15)
"""Of levels 1 to 5: the worse, the rarer."""
TUNED_LEVELS = (1, 3, 5)

RADIUS_MM = (2.5, 4.0, 7.0, 11.0, 16.0)
DARK = (0.3, 0.65)
"""A lesion's intensity on T1, of that of white matter: from fluid to oedema."""
WHITE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """kind: a key of SHARES. level: 1 to 5, 0 for none. seed: of all that is random in it."""

    kind: str
    level: int
    seed: int

    @property
    def name(self) -> str:
        """Such as "noise 3"; empty for the scan as it is."""
        return f"{self.kind} {self.level}" if self.level else ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Damaged:
    """lesion: (X, Y, Z) bool on the volume's grid, what was painted; None when nothing was."""

    volume: Volume
    lesion: NDArray[np.bool_] | None = None


def draw(subject: str) -> Damage:
    """The subject's damage by the mixture."""
    seed = _seed(subject, "mixture")
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    level = int(rng.choice(LEVELS, p=LEVEL_SHARES))
    return Damage(kind=kind, level=0 if kind == CLEAN else level, seed=seed)


def dealt(subjects: Sequence[str]) -> list[tuple[str, Damage]]:
    """Every kind at each of TUNED_LEVELS once, dealt out to the subjects in turn: what a score is tuned on."""
    every = [(kind, level) for level in TUNED_LEVELS for kind in SHARES if kind != CLEAN]
    return [
        (subject, Damage(kind=kind, level=level, seed=_seed(subject, f"{kind} {level}")))
        for subject, (kind, level) in zip(cycle(subjects), every, strict=False)
    ]


def damaged(volume: Volume, classes: NDArray[np.uint8], damage: Damage) -> Damaged:
    """The volume with its damage. classes: (X, Y, Z) on its grid; a lesion lies in white matter and in the brain."""
    rng = np.random.default_rng(damage.seed)
    if damage.kind == CLEAN:
        return Damaged(volume=volume)
    if damage.kind == LESION:
        return with_lesion(volume, classes, RADIUS_MM[damage.level - 1], rng)
    return Damaged(volume=DEGRADATIONS[damage.kind](volume, damage.level, rng))


def with_lesion(volume: Volume, classes: NDArray[np.uint8], radius_mm: float, rng: np.random.Generator) -> Damaged:
    """A dark, rough, soft-edged lesion around a point of cerebral white matter; the scan's noise stays."""
    white = np.argwhere(classes == WHITE)
    middle, spacing = white[rng.integers(len(white))], np.array(volume.spacing_mm)
    grid = np.ogrid[tuple(slice(n) for n in classes.shape)]
    stretch = np.exp(rng.uniform(-0.3, 0.3, 3))
    steps = zip(grid, middle, spacing, stretch, strict=True)
    distance = np.sqrt(np.asarray(sum(((g - m) * s / t) ** 2 for g, m, s, t in steps), np.float32))
    x, y, z = np.maximum(radius_mm / spacing, 1.5)
    distance += 0.25 * radius_mm * smooth_field(classes.shape, (x, y, z), rng)
    inside = (distance < radius_mm) & np.isin(classes, BRAIN)
    inside[tuple(middle)] = True
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 0.7 / spacing)
    intensity = rng.uniform(*DARK) * float(np.median(volume.array[classes == WHITE]))
    smooth = ndimage.gaussian_filter(volume.array, 1.0)
    painted = intensity + volume.array - smooth
    array = volume.array + soft * (painted - volume.array)
    return Damaged(volume=Volume(array=array.astype(np.float32), affine=volume.affine), lesion=inside)


def in_words() -> str:
    """The mixture for a reader."""
    rest = [kind.replace("_", " ") for kind in SHARES if kind != CLEAN]
    levels = ", ".join(f"{share:.0%}" for share in LEVEL_SHARES)
    return (
        f"{SHARES[CLEAN]:.0%} of the scans as they are; the others with one of {', '.join(rest)}, "
        f"each as often, of level 1 to 5 ({levels})"
    )


def _seed(subject: str, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{what}:{subject}".encode()).digest()[:8])
