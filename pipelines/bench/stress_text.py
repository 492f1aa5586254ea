"""What the stress page says in words and tables."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from pipelines.bench.page import table
from pipelines.failure import DICE, PLAIN, VOLUME, Habit, Habits, Measured, failures
from pipelines.mixture import LESION
from pipelines.stress import CLEAN, Rung
from pipelines.stress_page import SLACK, doubt, graded_kinds, kinds_of, ladders, named, never_falls, stays_flagged
from triage.gate.operating_point import OperatingPoint
from triage.gate.rules import readings_of
from triage.gate.signals import SIGNALS

LOST = 0.05
"""A structure that has less than DICE undamaged may lose so much more."""
FLIP = "left_right_flip"
FALLING = "sample_disagreement"

PAGE = """# Stress ladder

Two labelled scans of the test split ({scans}) are damaged (`pipelines.degrade`) and go through engine and gate: ten
kinds of damage at all of their five levels, and a flip, which has no levels, once. Your own scans:
`brain-triage stress FOLDER`. Model: {bundle}, as judged by the operating point that is shipped now. Its promise:
{promise}

![Doubt above, Dice below, by level of damage; a line a scan](stress.png)

## Does doubt rise?

{rises} Less than a twentieth of the limit counts as no fall. A cell is the mean score over the limit, above 1 a human
looks; in brackets how many of the scans were flagged or refused.

{doubts}
{usual}Mean Dice with the labels, over eight structures. Labels move with a head that is turned or flipped; what lies
outside of a cropped field of view counts as missed.

{dices}
### Other subjects

Scans of the tune and test splits, each with one kind of damage or as it is, on which `docs/benchmarks/gate.md` rests:
what they say by level, whatever the kind.

{others}
## Does error outrun the gate?

A damaged scan fails by **the certificate** as a case of calibration does: a structure's Dice or volume lies beyond the
habits of its kind of labels (`pipelines.failure`). It fails beside **itself undamaged** when a structure's Dice is
under 0.8 (or, if that is lower, {lost} under what it is undamaged), or its volume is off by more than 10 % from that of
the same scan undamaged, against the same labels: that asks what the damage alone did.

{error}

{flip}

## Which signals see what

Mean part of the score at the worst level; they sum to the score.

{parts}
{falling}

## Never accepted

Volumes of other things, and of nothing, with the header of a T1-weighted brain. {nothing}
"""


Fails = Callable[[Rung, Rung], tuple[str, ...]]
"""Why a step failed, given the same scan as it is; empty when it did not."""


def rules(known: Mapping[str, Habits]) -> Mapping[str, Fails]:
    """Both rules by the name of their column. known: what is usual, by scan."""
    return {"the certificate": partial(by_certificate, known), "itself undamaged": by_itself}


def by_certificate(known: Mapping[str, Habits], rung: Rung, _clean: Rung) -> tuple[str, ...]:
    """As the certificate counts; labels of which no habit is known are held to the plain limits."""
    return failures(_measured(rung), known.get(rung.case, PLAIN))


def by_itself(rung: Rung, clean: Rung) -> tuple[str, ...]:
    """Where the same scan as it is sets what its labels are used to."""
    usual: Habits = {
        key: Habit(dice=min(DICE, clean.dice[key] - LOST), ratio=clean.volume_ratio[key], off=VOLUME)
        for key in clean.dice
    }
    return failures(_measured(rung), usual)


def damaged_steps(rungs: Sequence[Rung]) -> list[tuple[Rung, Rung]]:
    """Every damaged step with the same scan as it is."""
    return [(rung, one[0]) for kind in kinds_of(rungs) for one in ladders(rungs, kind) for rung in one[1:]]


def _measured(rung: Rung) -> Measured:
    return Measured(dice=rung.dice, volume_ratio=rung.volume_ratio)


def rises(rungs: Sequence[Rung]) -> str:
    """Kinds whose doubt or flags fall, and how often a fall of doubt is one of error."""
    kinds = graded_kinds(rungs)
    falls = [named(k) for k in kinds if not never_falls(rungs, k)]
    drops = [named(k) for k in kinds if not stays_flagged(rungs, k)]
    pairs = [pair for k in kinds for one in ladders(rungs, k) for pair in itertools.pairwise(one)]
    fell = [(a, b) for a, b in pairs if doubt(b) < doubt(a) - SLACK]
    better = sum(b.mean_dice > a.mean_dice for a, b in fell)
    lost = sum(b.accepted and not a.accepted for a, b in fell)
    return (
        f"Doubt never falls from one level to the next for {len(kinds) - len(falls)} of {len(kinds)} graded kinds"
        f"{_but(falls)}; a flag, once raised, stays at every worse level for {len(kinds) - len(drops)}"
        f"{_but(drops)}. Of {len(pairs)} steps to the next level doubt falls at {len(fell)}: at {better} of these Dice "
        f"rises, so there is less to doubt, and at {lost} the flag is lost."
    )


def by_level(rungs: Sequence[Rung]) -> str:
    """Mean and median doubt and the share flagged, of cases of any kind of damage; lesions are no damage."""
    lines = []
    for level in sorted({r.level for r in rungs}):
        seen = [r for r in rungs if r.level == level and r.kind != LESION]
        doubts = [doubt(r) for r in seen if r.signals]
        flagged = sum(not r.accepted for r in seen)
        shown = [float(np.mean(doubts)), float(np.median(doubts))] if doubts else [math.nan, math.nan]
        lines.append([level or CLEAN, len(seen), *shown, f"{flagged} ({flagged / len(seen):.0%})"])
    return table(["level", "scans", "mean doubt", "median doubt", "flagged"], lines)


def error(rungs: Sequence[Rung], known: Mapping[str, Habits]) -> str:
    """How many damaged scans fail by each rule and were accepted all the same, and which."""
    steps, judges = damaged_steps(rungs), rules(known)
    wrong = {
        name: [rung for rung, clean in steps if rung.dice and fails(rung, clean)] for name, fails in judges.items()
    }
    escaped = {name: sum(rung.accepted for rung in found) for name, found in wrong.items()}
    accepted = sum(rung.accepted for rung, _ in steps)
    counts = [
        [name, len(own), len(own) - escaped[name], f"{escaped[name]} ({escaped[name] / max(1, accepted):.0%})"]
        for name, own in wrong.items()
    ]
    said = (
        f"Of {len(steps)} damaged scans {accepted} were accepted and {sum(not rung.dice for rung, _ in steps)} could "
        "not be segmented; in brackets the share of all that were accepted.\n\n"
        f"{table(['fails by', 'fail', 'of these flagged', 'of these accepted'], counts)}\n"
    )
    if not any(escaped.values()):
        return f"{said}Error never outran the gate."
    rows = []
    for rung, clean in steps:
        reasons = ["; ".join(fails(rung, clean)) or "-" for fails in judges.values()]
        if rung.accepted and set(reasons) != {"-"}:
            rows.append([rung.case, named(rung.kind), rung.level, doubt(rung), rung.mean_dice, *reasons])
    header = ["accepted all the same", "damage", "level", "score / limit", "mean Dice", *judges]
    return f"{said}{table(header, rows)}"


def parts(rungs: Sequence[Rung], point: OperatingPoint) -> str:
    """Mean part of each signal at the worst level of each kind."""
    names = [name for name in SIGNALS if name in point.limits]
    rows = []
    for kind in kinds_of(rungs):
        worst = [one[-1] for one in ladders(rungs, kind) if one[-1].signals]
        found = [{r.name: r.part for r in readings_of(rung.signals, point)} for rung in worst]
        rows.append([named(kind), *(float(np.mean([p[name] for p in found])) if found else math.nan for name in names)])
    return table(["worst level", *(name.replace("_", " ") for name in names)], rows)


def falling(rungs: Sequence[Rung]) -> str:
    """By how much the disagreement of samples is that of the scan as it is, at the worst level."""
    found = {}
    for kind in kinds_of(rungs):
        ratios = [one[-1].signals[FALLING] / one[0].signals[FALLING] for one in ladders(rungs, kind) if one[-1].signals]
        found[kind] = float(np.mean(ratios)) if ratios else math.nan
    fell = {named(kind): ratio for kind, ratio in found.items() if ratio < 1}
    listed = ", ".join(f"{kind} ({ratio:.2f} times)" for kind, ratio in fell.items()) or "none"
    return (
        f"The disagreement of posterior samples (`{FALLING}`) is lower at the worst level than on the undamaged scan "
        f"for {listed}: vague maps overlap well with one another. It is a poor signal of harm."
    )


def flip(rungs: Sequence[Rung]) -> str:
    pairs = [(one[0], one[1]) for one in ladders(rungs, FLIP)]
    shifts = ", ".join(f"{doubt(b) - doubt(a):+.2f}" for a, b in pairs)
    flagged = sum(not b.accepted for _, b in pairs)
    return (
        f"**A left-right flip is not seen.** It moves the doubt by {shifts} of the limit, and {flagged} of "
        f"{len(pairs)} are flagged: a brain is nearly its own mirror image, and the atlas is symmetric by "
        "construction, so neither entropy nor conflict can tell. No structure of the segmentation has a side, so "
        "volumes stay right; what would be wrong is the side that a reader is told. What guards against it is the "
        "geometry of DICOM headers, which is tested; a NIfTI whose header lies is believed."
    )


def nothing(rungs: Sequence[Rung]) -> str:
    rows = [[r.case, r.route.replace("_", " "), doubt(r), r.reasons[0] if r.reasons else "-", r.action] for r in rungs]
    accepted = sum(r.accepted for r in rungs)
    said = f"{len(rungs) - accepted} of {len(rungs)} are not accepted."
    return f"{said}\n\n{table(['volume', 'route', 'score / limit', 'first reason', 'suggestion'], rows)}"


def _but(kinds: Sequence[str]) -> str:
    return f" (not for {', '.join(kinds)})" if kinds else ""
