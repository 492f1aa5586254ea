"""The monitor of a run, rebuilt from all that its bundle ever accepted and all blind readings: it forgets nothing."""

import hashlib
import hmac
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from sqlalchemy import Engine

from pipelines.bundles import bundle_in_use, identify, open_history
from pipelines.promises import Promises, read_promises
from pipelines.settings import Settings
from triage.gate.monitor import Monitor
from triage.gate.monitored import MONITOR, tie
from triage.gate.operating_point import FILE, read_operating_point
from triage.review import open_queue
from triage.review.observed import Observed, observed
from triage.review.words import ReaderVerdict
from triage.verdict import BundleId

RISK_WITHOUT_PROMISE = 0.05
"""What the failures of a bundle are watched against that has promised nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A monitor and what it was rebuilt from. promised: whether the risk is one that the bundle has certified."""

    bundle: BundleId
    monitor: Monitor
    observed: Observed
    risk: float
    promised: bool

    @property
    def failures(self) -> int:
        """Blind readings that did not say accept."""
        return sum(_failed(verdict) for verdict in self.observed.verdicts)


def watch(database: Engine, bundle: BundleId, promises: Promises, signals: Sequence[str]) -> Watched:
    """The monitor of a bundle as it stands now. signals: names of those that its operating point limits."""
    found = observed(database, bundle.digest, held=MONITOR)
    promised = not math.isnan(promises.risk)
    risk = promises.risk if promised else RISK_WITHOUT_PROMISE
    monitor = Monitor(risk=risk, reference={name: promises.signals.get(name, ()) for name in signals})
    for content, values in found.cases.items():
        monitor.see(values, tie=tie(content))
    for verdict in found.verdicts:
        monitor.review(failed=_failed(verdict))
    return Watched(bundle=bundle, monitor=monitor, observed=found, risk=risk, promised=promised)


def watch_in_use(settings: Settings) -> Watched:
    """That of the bundle that runs decide with."""
    with open_history(settings) as history:
        folder = bundle_in_use(settings, history.live())
    signals = tuple(read_operating_point(folder / FILE).limits)
    with closing(open_queue(settings.review_database)) as queue:
        return watch(queue.engine, identify(folder), read_promises(folder), signals)


def drawn_blind(key: bytes, share: float, learnt: Callable[[str], bool]) -> Callable[[str], bool]:
    """Whether an accepted case of a content goes to blind review: the same at every look, foreseen by no one.

    learnt: whether the model was trained on a content; how it does there says nothing of what comes.
    """
    return lambda content: _draw(key, content) < share and not learnt(content)


def _draw(key: bytes, content_sha256: str) -> float:
    """In [0, 1), by HMAC-SHA256 of the content under the key, which nothing but this and the pseudonyms use."""
    digest = hmac.new(key, f"blind review:{content_sha256}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _failed(verdict: ReaderVerdict) -> bool:
    """What a reader had to correct, rejects or cannot assess should not have been accepted."""
    return verdict is not ReaderVerdict.ACCEPT
