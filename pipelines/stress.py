"""The stress ladder: a scan damaged by kind and level, through engine and gate. Does doubt rise before the error does?

Without labels the segmentation of the undamaged scan is the reference: then Dice is self-agreement, and says nothing of
whether that one was right.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.degrade import DEGRADATIONS, LEVELS, SAME_AT_EVERY_LEVEL, moved_labels
from pipelines.failure import measure
from pipelines.grids import labels_on_grid
from pipelines.metrics import known_mean
from pipelines.run import find_cases
from pipelines.run_case import case_seed
from pipelines.scans import read_nifti
from pipelines.settings import SHIPPED_BUNDLE, Settings
from triage.anatomy import N_CLASSES
from triage.case import Case, Volume
from triage.errors import Refusal, TriageError
from triage.gate.rules import load_gate
from triage.gate.signals import SIGNALS
from triage.intake import read_volume
from triage.ports import Engine, Gate
from triage.prediction import Prediction
from triage.verdict import Route

CLEAN = "as it is"
SEED = 0
"""Of the damage; every level of a kind then is the same damage, only worse."""

Step = tuple[str, int]
"""A kind of damage and its level; (CLEAN, 0) is none."""
Predict = Callable[[Volume, Step], Prediction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One scan at one step.

    reasons: names, worst first; `outside` of these stand outside the score. action: the suggestion.
    score, signals: NaN and none when the image was refused. dice, volume_ratio: of each graded structure, see
    `pipelines.failure.Measured`; none when it was refused.
    """

    case: str
    kind: str
    level: int
    route: Route
    score: float
    limit: float
    signals: Mapping[str, float]
    reasons: tuple[str, ...]
    outside: tuple[str, ...]
    action: str
    dice: Mapping[str, float]
    volume_ratio: Mapping[str, float]

    @property
    def mean_dice(self) -> float:
        """Over the structures that were graded; NaN without any."""
        return known_mean(self.dice.values())

    @property
    def accepted(self) -> bool:
        return self.route == Route.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A scan to damage. classes: (X, Y, Z) uint8, the reference on the volume's grid."""

    case: Case
    volume: Volume
    classes: NDArray[np.uint8]


def steps(kinds: Sequence[str], levels: Sequence[int]) -> list[Step]:
    """All steps after the first, by kind, then by level; what is the same at every level is done once, as level 1."""
    unknown = [*(k for k in kinds if k not in DEGRADATIONS), *(str(n) for n in levels if n not in LEVELS)]
    if unknown or not kinds or not levels:
        known = f"Known kinds: {', '.join(DEGRADATIONS)}; levels: {', '.join(map(str, LEVELS))}."
        raise TriageError(f"There is no damage {', '.join(unknown) or 'to do'}.", do=known)
    return [(k, n) for k in kinds for n in ((1,) if k in SAME_AT_EVERY_LEVEL else sorted(set(levels)))]


def read_steps(kinds: str | None, levels: str) -> list[Step]:
    """The same from the words of the command line, with commas between."""
    names = tuple(DEGRADATIONS) if kinds is None else tuple(kinds.split(","))
    numbers = [int(n) if n.strip().isdigit() else 0 for n in levels.split(",")]
    return steps(names, numbers)


def in_words(rung: Rung) -> str:
    """One line a rung, while it goes."""
    step = f"{rung.kind} {rung.level}" if rung.level else rung.kind
    return f"{rung.case}  {step:22}  {rung.route:12}  score {rung.score:6.2f}  Dice {rung.mean_dice:.3f}  {rung.action}"


def stress(
    inbox: Path,
    settings: Settings,
    path: Sequence[Step],
    *,
    labels: Path | None = None,
    tell: Callable[[Rung], None] = lambda _: None,
) -> list[Rung]:
    """Every readable case of an inbox at every step. labels: of the only case, in the classes of the segmentation."""
    from pipelines.engine import load_engine

    inventory = find_cases(inbox, settings)
    if not inventory.cases:
        raise TriageError("No scan there can be read.", do="`brain-triage run` says why, input by input.")
    if labels is not None and len(inventory.cases) > 1:
        raise TriageError("Labels are of one scan, and here are several.", do="Give the scan that they belong to.")
    bundle = settings.bundle or SHIPPED_BUNDLE
    engine, gate = load_engine(bundle, device=settings.device), load_gate(bundle)
    rungs: list[Rung] = []
    for case in inventory.cases:
        volume = read_volume(case.structural, limits=settings.limits)
        predict = partial(_predict, engine, case_seed(settings.seed, case.content_sha256, engine.bundle.digest))
        reference = None if labels is None else read_labels(labels, volume)
        for rung in climb(case, volume, path, predict=predict, gate=gate, classes=reference):
            tell(rung)
            rungs.append(rung)
    return rungs


def climb(
    case: Case, volume: Volume, path: Sequence[Step], *, predict: Predict, gate: Gate, classes: NDArray[np.uint8] | None
) -> Iterator[Rung]:
    """The scan as it is, then every step. classes: the reference; None takes the segmentation of the scan as it is."""
    clean = predict(volume, (CLEAN, 0))
    subject = Subject(case=case, volume=volume, classes=clean.scanner_labels if classes is None else classes)
    yield rung_of(subject, (CLEAN, 0), clean, gate)
    for step in path:
        yield tried(subject, step, predict, gate)


def tried(subject: Subject, step: Step, predict: Predict, gate: Gate) -> Rung:
    """One step; an image that the preprocessing refuses is a rung without a score."""
    try:
        return rung_of(subject, step, predict(damaged(subject.volume, step), step), gate)
    except Refusal as refusal:
        return refused(subject, step, refusal)


def refused(subject: Subject, step: Step, refusal: Refusal) -> Rung:
    """The rung of an image that could not be segmented: it goes to a human with its code."""
    return Rung(
        case=subject.case.pseudonym,
        kind=step[0],
        level=step[1],
        route=Route.REFUSED,
        score=math.nan,
        limit=math.nan,
        signals={},
        reasons=(refusal.code,),
        outside=(refusal.code,),
        action=refusal.do,
        dice={},
        volume_ratio={},
    )


def damaged(volume: Volume, step: Step) -> Volume:
    """The volume at a step; level 0 is the volume as it is."""
    kind, level = step
    return DEGRADATIONS[kind](volume, level, np.random.default_rng(SEED)) if level else volume


def rung_of(subject: Subject, step: Step, prediction: Prediction, gate: Gate) -> Rung:
    """What engine and gate made of the scan at a step, against the reference, which moved with the head."""
    kind, level = step
    verdict = gate.decide(subject.case, prediction)
    reference = Volume(array=subject.classes.astype(np.float32), affine=subject.volume.affine)
    if level:
        reference = moved_labels(kind, reference, level, np.random.default_rng(SEED))
    measured = measure(prediction, reference.array.astype(np.uint8), reference.affine)
    return Rung(
        case=subject.case.pseudonym,
        kind=kind,
        level=level,
        route=verdict.route,
        score=verdict.score,
        limit=verdict.limit,
        signals={signal.name: signal.value for signal in verdict.signals},
        reasons=tuple(reason.signal for reason in verdict.reasons),
        outside=tuple(reason.signal for reason in verdict.reasons if reason.signal not in SIGNALS),
        action=verdict.action,
        dice=measured.dice,
        volume_ratio=measured.volume_ratio,
    )


def read_labels(path: Path, volume: Volume) -> NDArray[np.uint8]:
    """Labels from a NIfTI file on any grid, brought to the volume's."""
    read = read_nifti(path)
    if not np.isin(read.array, range(N_CLASSES)).all():
        raise TriageError(
            "The labels are no segmentation of this program.", do=f"Give a NIfTI of the classes 0 to {N_CLASSES - 1}."
        )
    sure = np.zeros(read.array.shape, np.float32)
    return labels_on_grid(read.array.astype(np.uint8), sure, read.affine, volume.affine, volume.array.shape)


def _predict(engine: Engine, seed: int, volume: Volume, _: Step) -> Prediction:
    return engine.predict(volume, seed=seed)
