"""What a calibration says: the promise in a reader's words, and its tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipelines.calibrate import Calibration
from pipelines.failure import DICE, LESION_MM, VOLUME, Habits
from pipelines.markdown import table
from pipelines.population import OTHER, UNKNOWN

MISSED = f"a lesion of {LESION_MM:g} mm or more is missed"


def means(known: Mapping[str, Habits]) -> str:
    """What counts as failed, with the loosest limit that the habits of the labels make. known: by source of labels."""
    habits = [(habit.off, key) for usual in known.values() for key, habit in usual.items()]
    off, key = max(habits, default=(VOLUME, ""))
    loosest = f": up to {off:.0%} for {key.replace('_', ' ')}" if off > VOLUME else ""
    beyond = f"beyond the habits of the labels{loosest}"
    return f"a structure's Dice is under {DICE} or its volume off by over {VOLUME:.0%}, {beyond}"


def promise(found: Calibration, confidence: float) -> str:
    """What is promised, and for whom; a reader of any page sees it."""
    level, n = found.certified, len(found.calibrate.cases)
    if level is None:
        best = min(found.levels, key=lambda one: one.more)
        return (
            f"Nothing is accepted: no limit could be certified. For at most {best.risk:.0%} failed among accepted "
            f"cases, with {confidence:.0%} confidence, {best.more} more accepted calibration cases are needed, none of "
            f"them failed; {best.accepted} of {n} are accepted, and {best.failures} of these failed."
        )
    oldest = f" up to {found.oldest_years:g} years" if math.isfinite(found.oldest_years) else ""
    covered = [group.group for group in found.groups if group.covered and not group.group.endswith((OTHER, UNKNOWN))]
    which = ", ".join(covered) or "together: no scanner or age by itself"
    return (
        f"With {confidence:.0%} confidence the measurements of at most {level.risk:.0%} of the accepted cases fail "
        f"({means(found.score.habits)}): of {n} calibration subjects {level.accepted} were accepted, {level.failures} "
        f"of these failed. "
        f"That holds for T1 of adults{oldest} like theirs ({which}), damaged as often as in the stated mixture, and "
        f"for no other scanners, ages and diseases. {_lesions(found)}"
    )


def _lesions(found: Calibration) -> str:
    """What is promised of lesions; an accepted scan is not thereby free of them."""
    level, judged = found.certified_with_lesions, found.calibrate
    accepted = [c.measured for c, s in zip(judged.cases, judged.score, strict=True) if s <= found.unit and c.measured]
    shown, unseen = sum(m.lesions > 0 for m in accepted), sum(m.missed > 0 for m in accepted)
    seen = f"of {shown} accepted with a lesion {unseen} missed it"
    if level is None:
        return f"Of lesions nothing is promised: {seen}."
    return f"At most {level.risk:.0%} fail or miss a lesion: {seen}."


def in_words(found: Calibration, confidence: float) -> str:
    """What a model owner is told at the end."""
    test, bad = found.test.score <= found.unit, found.test.failed
    lines = [
        level_table([asdict(level) for level in found.levels]),
        "With missed lesions counted as well:\n",
        level_table([asdict(level) for level in found.lesion_levels]),
        group_table([asdict(group) for group in found.groups]),
        f"On the test split {int(test.sum())} of {len(test)} are accepted, {int((test & bad).sum())} of these failed; "
        f"{int((bad & ~test).sum())} of {int(bad.sum())} failures are flagged.",
        promise(found, confidence),
    ]
    return "\n".join(lines)


def level_table(levels: Sequence[Mapping[str, Any]]) -> str:
    """levels: as in `evaluation` of operating_point.json."""

    def outcome(one: Mapping[str, Any]) -> str:
        return "yes" if one["score_limit"] is not None else f"no: {one['more']} more accepted, none of them failed"

    rows = [
        [f"{one['risk']:.0%}", f"{one['delta']:.4g}", one["accepted"], one["failures"], one["bound"], outcome(one)]
        for one in levels
    ]
    return table(["at most failed", "of delta", "accepted", "of these failed", "bound", "certified"], rows)


def group_table(groups: Sequence[Mapping[str, Any]]) -> str:
    """groups: as in `evaluation` of operating_point.json."""

    def outcome(one: Mapping[str, Any]) -> str:
        return "yes" if one["covered"] else ("no" if one["enough"] else "no: too few cases")

    rows = [[*(one[key] for key in ("group", "accepted", "failures", "bound")), outcome(one)] for one in groups]
    return table(["group", "accepted", "of these failed", "bound", "covered"], rows)


def habits_table(by_labels: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Of each source of labels, when a structure fails. by_labels: as in `evaluation` of operating_point.json."""
    rows: list[list[object]] = [
        [labels, key.replace("_", " "), f"{habit['dice']:.2f}", f"{habit['ratio']:.2f}", f"{habit['off']:.0%}"]
        for labels, usual in by_labels.items()
        for key, habit in usual.items()
    ]
    head = ["labels", "structure", "Dice under", "usual volume, of the labelled", "volume off from that by over"]
    return table(head, rows)
