"""The seams of the domain: what it asks of the sides that it does not know."""

from pathlib import Path
from typing import Protocol

from triage.case import Case, Volume
from triage.prediction import Prediction
from triage.verdict import BundleId, Report, Verdict


class Engine(Protocol):
    """Turns a volume into a prediction; the only way to a network."""

    @property
    def bundle(self) -> BundleId: ...

    def predict(self, volume: Volume, *, seed: int) -> Prediction: ...


class Gate(Protocol):
    """Decides; fails closed."""

    def decide(self, case: Case, prediction: Prediction) -> Verdict: ...


class Queue(Protocol):
    """Remembers every decision, and holds what a human must see, until a human has seen it."""

    def settle(self, report: Report, *, blind: bool = False) -> None: ...

    def is_decided(self, content_sha256: str, bundle_digest: str) -> bool: ...


class Writer(Protocol):
    """Writes one report in one format into an existing folder."""

    def __call__(self, report: Report, folder: Path) -> None: ...
