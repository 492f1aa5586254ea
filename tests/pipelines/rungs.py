"""Rungs of a stress ladder whose numbers are easy to say."""

import math
from typing import Any

from pipelines.compare import GRADED
from pipelines.stress import CLEAN, Rung
from triage.verdict import Route


def a_rung(kind: str = CLEAN, level: int = 0, *, score: float = 0.2, dice: float = 0.9, **changes: Any) -> Rung:
    """Of the scan "one": flagged for its score over 1; a score that is not a number is that of a refused image."""
    flagged = not score <= 1
    route = Route.REFUSED if math.isnan(score) else Route.HUMAN_REVIEW if flagged else Route.ACCEPTED
    rung: dict[str, Any] = {
        "case": "one",
        "kind": kind,
        "level": level,
        "route": route,
        "score": score,
        "limit": 1.0,
        "signals": {} if math.isnan(score) else {"prior_conflict": score},
        "reasons": ("prior_conflict",) if flagged else (),
        "outside": (),
        "action": "Check the registration: look." if flagged else "",
        "dice": dict.fromkeys(GRADED, dice),
        "volume_ratio": dict.fromkeys(GRADED, 1.0),
    }
    return Rung(**{**rung, **changes})


def a_ladder(*scores: float, kind: str = "noise", **changes: Any) -> list[Rung]:
    """A scan as it is, then one kind of damage by level, with these scores."""
    return [a_rung(kind if level else CLEAN, level, score=score, **changes) for level, score in enumerate(scores)]
