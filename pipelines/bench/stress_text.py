"""What the stress page says in words and tables."""

import math
from collections.abc import Sequence

import numpy as np

from pipelines.bench.page import table
from pipelines.failure import DICE, VOLUME, Habit, Habits, Measured, failures
from pipelines.mixture import LESION
from pipelines.stress import CLEAN, Rung
from pipelines.stress_page import doubt, graded_kinds, kinds_of, ladders, named, never_falls, stays_flagged
from triage.gate.operating_point import OperatingPoint
from triage.gate.rules import readings_of
from triage.gate.signals import SIGNALS

LOST = 0.05
"""A structure that has less than DICE undamaged may lose so much more."""
FLIP = "left_right_flip"
FALLING = "sample_disagreement"

PAGE = """# Stress ladder

Two labelled scans of the test split ({scans}) are damaged (`pipelines.degrade`) and go through engine and gate. Of the
five levels of the eleven kinds of damage {levels} are measured here, and a flip, which has no levels, once. Your own
scans, at all levels: `brain-triage stress FOLDER`. Model: {bundle}, as judged by the operating point that is shipped
now. Its promise: {promise}

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

A damaged scan fails when a structure's Dice with the labels is under 0.8 (or, if that is lower, {lost} under what it is
undamaged), or its volume is off by more than 10 % from that of the same scan undamaged, against the same labels.

{error}

{flip}

## Which signals see what

Mean part of the score at the worst level; they sum to the score.

{parts}
{falling}

## Never accepted

Volumes of other things, and of nothing, with the header of a T1-weighted brain. {nothing}
"""


def failed(rung: Rung, clean: Rung) -> tuple[str, ...]:
    """Why a step failed against the labels, where the same scan as it is sets what these labels are used to."""
    usual: Habits = {
        key: Habit(dice=min(DICE, clean.dice[key] - LOST), ratio=clean.volume_ratio[key], off=VOLUME)
        for key in clean.dice
    }
    return failures(Measured(dice=rung.dice, volume_ratio=rung.volume_ratio), usual)


def outran(rungs: Sequence[Rung]) -> list[tuple[Rung, tuple[str, ...]]]:
    """Steps that failed and were accepted all the same."""
    found = []
    for kind in kinds_of(rungs):
        for clean, *worse in ladders(rungs, kind):
            found += [(r, why) for r in worse if r.accepted and (why := failed(r, clean))]
    return found


def rises(rungs: Sequence[Rung]) -> str:
    kinds = graded_kinds(rungs)
    falls = [named(k) for k in kinds if not never_falls(rungs, k)]
    drops = [named(k) for k in kinds if not stays_flagged(rungs, k)]
    return (
        f"Doubt never falls from one level to the next for {len(kinds) - len(falls)} of {len(kinds)} graded kinds"
        f"{_but(falls)}; a flag, once raised, stays at every worse level for {len(kinds) - len(drops)}{_but(drops)}."
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


def error(rungs: Sequence[Rung]) -> str:
    damaged = [(r, one[0]) for kind in kinds_of(rungs) for one in ladders(rungs, kind) for r in one[1:]]
    wrong = [(r, clean) for r, clean in damaged if r.dice and failed(r, clean)]
    escaped = outran(rungs)
    said = (
        f"Of {len(damaged)} damaged scans {len(wrong)} fail and {sum(not r.dice for r, _ in damaged)} could not be "
        f"segmented; of those that fail {len(wrong) - len(escaped)} were flagged"
    )
    if not escaped:
        return f"{said}: error never outran the gate."
    rows = [[r.case, named(r.kind), r.level, doubt(r), r.mean_dice, "; ".join(why)] for r, why in escaped]
    header = ["scan", "damage", "level", "score / limit", "mean Dice", "why it fails"]
    return f"{said}, and {len(escaped)} were accepted:\n\n{table(header, rows)}"


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
