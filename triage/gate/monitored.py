"""A gate that trusts its limits only as long as the monitor does; what it does and says after an alarm."""

import hashlib
from dataclasses import dataclass, replace

from triage.case import Case
from triage.gate.monitor import FAILURES, LEVEL, Monitor, Stance
from triage.gate.wording import WORDING, Action
from triage.ports import Gate
from triage.prediction import Prediction
from triage.verdict import Reason, Route, Verdict

MONITOR = "monitor"
"""Name of the reason, beside those of the signals."""
TIGHTER = 0.5
"""Share of the limit that a tightened gate still accepts up to."""
HOW = "the promise of the gate is in doubt; read this case as if it had been flagged."


@dataclass(slots=True)
class MonitoredGate:
    """Decides as its gate does while the monitor has no alarm, then accepts less, then nothing.

    seen: contents of the accepted cases that the monitor knows; one that is decided again is not counted again.
    """

    gate: Gate
    monitor: Monitor
    seen: set[str]

    def decide(self, case: Case, prediction: Prediction) -> Verdict:
        """The gate's verdict, unless it accepts what the monitor does not let pass. The case itself counts already."""
        verdict = self.gate.decide(case, prediction)
        if verdict.route is not Route.ACCEPTED:
            return verdict
        if case.content_sha256 not in self.seen:
            self.seen.add(case.content_sha256)
            self.monitor.see({s.name: s.value for s in verdict.signals}, tie=tie(case.content_sha256))
        return verdict if self._passes(verdict) else self._held(verdict)

    def _passes(self, verdict: Verdict) -> bool:
        stance = self.monitor.stance
        return stance is Stance.AS_SET or (stance is Stance.TIGHTENED and verdict.score <= TIGHTER * verdict.limit)

    def _held(self, verdict: Verdict) -> Verdict:
        action = f"{Action.SECOND_READER}: {HOW}"
        reason = Reason(
            signal=MONITOR, text=alarm(self.monitor), value=self.monitor.most, limit=1 / LEVEL, part=0.0, action=action
        )
        return replace(verdict, route=Route.HUMAN_REVIEW, reasons=(reason,), action=action)


def tie(content_sha256: str) -> float:
    """Chance in (0, 1] by which equal values of a case rank: the same at every look."""
    digest = hashlib.sha256(f"tie:{content_sha256}".encode()).digest()
    return (int.from_bytes(digest[:6]) + 1) / 2**48


def alarm(monitor: Monitor) -> str:
    """What the monitor holds against the gate, and what became of the gate, in a reader's words; "" for nothing."""
    if monitor.stance is Stance.AS_SET:
        return ""
    if monitor.driver == FAILURES:
        why = "more accepted cases failed in blind review than was promised"
    else:
        title = WORDING[monitor.driver].title if monitor.driver in WORDING else monitor.driver
        why = f"the signal “{title}” of accepted cases has become worse than it was when the limits were set"
    became = f"tightened to {TIGHTER:g} of its limit" if monitor.stance is Stance.TIGHTENED else "closed"
    return f"The gate is {became}: {why}. It stays so until a newly calibrated model takes over."
