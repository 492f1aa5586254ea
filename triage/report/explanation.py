"""What a reader is told of a flagged case: where the doubt lies, what anatomy decided, which signal moved the score."""

import math
from collections.abc import Mapping
from typing import Any

from triage.report.text import number, percent
from triage.verdict import EntropyShare, Interpretation, Side, Spot, Verdict

WORTH_SAYING = 0.1
"""Structures with less of the unusual entropy are left to report.json."""
NAMED = 3


def explain(verdict: Verdict, prior: Mapping[str, Any] | None) -> list[str]:
    """Sentences for a reader. prior: as report.json has it, with None for what is not a number."""
    sentences = [_where(verdict.interpretation), _fit(verdict.interpretation), _anatomy(prior), _score(verdict)]
    return [sentence for sentence in sentences if sentence]


def named(structure: str, side: Side) -> str:
    """A structure with its side within a sentence, such as "left hippocampus and amygdala"."""
    name = structure[:1].lower() + structure[1:]
    if side in {Side.LEFT, Side.RIGHT}:
        return f"{side} {name}"
    return f"{name} of both sides" if side is Side.BOTH else name


def spot_title(spot: Spot) -> str:
    """The structure and the side of a spot, as a title."""
    name = f"{spot.place.structure}, midline" if spot.side is Side.MIDLINE else named(spot.place.structure, spot.side)
    return name[:1].upper() + name[1:]


def _where(interpretation: Interpretation | None) -> str:
    if interpretation is None:
        return "No brain was found that the doubt could lie in."
    shares = [s for s in interpretation.shares if s.share >= WORTH_SAYING][:NAMED]
    if not shares:
        return "No structure carries more entropy than is usual in a good scan: what is unusual is something else."
    first, *others = shares
    most = f"{percent(first.share)} of the unusual entropy lies in the {_with_volume(first)}"
    return f"{', '.join([most, *(f'{percent(s.share)} in the {_with_volume(s)}' for s in others)])}."


def _fit(interpretation: Interpretation | None) -> str:
    """How far the worst place reaches, and over how much of the brain anatomy does not fit: all of it, or one place."""
    if interpretation is None:
        return ""
    first, last = interpretation.slices or (None, None)
    reach = "" if first is None or last is None else f"The worst place reaches slices {first + 1} to {last + 1}. "
    if not math.isfinite(interpretation.misfit):
        return reach.strip()
    return (
        f"{reach}Around {percent(interpretation.misfit)} of the brain anatomy fits worse here than at an unknown pose; "
        "a failed registration makes that a quarter or more, one abnormal place a tenth at most."
    )


def _with_volume(share: EntropyShare) -> str:
    return f"{named(share.structure, share.side)} ({percent(share.of_brain)} of the brain)"


def _anatomy(prior: Mapping[str, Any] | None) -> str:
    if prior is None or None in (prior["entropy_before"], prior["entropy_after"], prior["relabelled"]):
        return ""
    before, after, relabelled = prior["entropy_before"], prior["entropy_after"], prior["relabelled"]
    moved = "lowered" if after < before else "raised"
    first = f"The anatomical prior {moved} the mean entropy from {number(before)} to {number(after)} nats"
    changed = [row for row in prior["structures"] if (row["relabelled"] or 0) > 0]
    if not changed:
        return f"{first} and changed no label."
    most = max(changed, key=lambda row: row["relabelled"])
    name = named(most["name"], Side.UNKNOWN)
    return (
        f"{first} and changed {percent(relabelled)} of the brain’s labels, most often to {name} "
        f"({percent(most['relabelled'])} of it)."
    )


def _score(verdict: Verdict) -> str:
    unknown = [s.title for s in verdict.signals if not math.isfinite(s.part)]
    if unknown:
        return f"Could not be computed, which alone sends the case to a human: {', '.join(unknown)}."
    total = math.fsum(s.part for s in verdict.signals)
    if not total > 0:
        return ""
    largest = max(verdict.signals, key=lambda s: s.part)
    return f"“{largest.title}” makes up {percent(largest.part / total)} of the score."
