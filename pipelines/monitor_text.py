"""The state of the monitor in words."""

from typing import Any

from pipelines.monitor import Watched
from triage.gate.monitor import FAILURES, LEVEL
from triage.gate.monitored import alarm
from triage.gate.wording import WORDING

HIGH_RISK = 0.2
"""A promise so weak that a reader should be told what it makes of blind reviews."""


def as_text(watched: Watched) -> str:
    """What it saw, what it holds against the gate, and how much of that it takes for an alarm."""
    monitor, seen = watched.monitor, watched.observed
    parts = sorted(monitor.parts.items(), key=lambda part: -part[1])
    promised = "as was promised" if watched.promised else "nothing was promised, so it is watched against this"
    return "\n".join(
        (
            f"Monitor of {watched.bundle.name} {watched.bundle.version} ({watched.bundle.digest[:16]})",
            alarm(monitor) or "The gate stands as it was set.",
            f"Seen: {len(seen.cases)} accepted cases. Blind reviews of them: {seen.drawn} drawn, "
            f"{len(seen.verdicts)} read, {watched.failures} failed; {watched.risk:.1%} may fail ({promised}).",
            *_weak(watched.risk),
            f"Evidence against the gate, at most {monitor.most:.3g} so far. It tightens at {1 / LEVEL:.0f}, closes at "
            f"{10 / LEVEL:.0f}; while the promise holds, it ever tightens with probability {LEVEL:.0%} at most.",
            *(f"  {_title(name):<22} {value:.3g}" for name, value in parts),
        )
    )


def as_json(watched: Watched) -> dict[str, Any]:
    """The same for programs."""
    monitor, seen = watched.monitor, watched.observed
    return {
        "schema": "brain-triage/monitor/1",
        "bundle": {
            "name": watched.bundle.name,
            "version": watched.bundle.version,
            "digest": watched.bundle.digest,
        },
        "stance": monitor.stance.value,
        "alarm": alarm(monitor),
        "cases": len(seen.cases),
        "blind": {"drawn": seen.drawn, "read": len(seen.verdicts), "failed": watched.failures},
        "risk": watched.risk,
        "promised": watched.promised,
        "most_evidence": monitor.most,
        "tightens_at": 1 / LEVEL,
        "closes_at": 10 / LEVEL,
        "evidence": monitor.parts,
    }


def _weak(risk: float) -> tuple[str, ...]:
    if not risk > HIGH_RISK:
        return ()
    return (
        f"Blind reviews give an alarm only beyond that rate: as long as {risk:.1%} or less fail, they are silent with "
        f"probability {1 - LEVEL:.0%}. Any 'correct' by a reader counts as a failure, however small the correction.",
    )


def _title(name: str) -> str:
    return "Failures" if name == FAILURES else WORDING[name].title
