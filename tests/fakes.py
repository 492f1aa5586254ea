"""A real small class for every port: a changed port breaks it loudly. No mocks."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pipelines.run_case import Stage, Tools
from tests.builders import a_case, a_prediction, a_volume
from tests.phantoms import phantom_labels
from tests.verdicts import BUNDLE, PROMISE, a_refused_verdict
from triage.case import Case, RefusedInput, Series, Volume
from triage.errors import Code
from triage.ports import Queue
from triage.prediction import Prediction
from triage.review import OpenItem
from triage.verdict import BundleId, Reason, Report, Route, SignalReading, Verdict

TINY = (16, 19, 16)


@cache
def tiny_volume() -> Volume:
    """A phantom head of a few thousand voxels."""
    return a_volume(phantom_labels(TINY), shape=(19, 16, 13))


@cache
def _tiny_prediction() -> Prediction:
    return a_prediction(phantom_labels(TINY), tiny_volume())


def read_tiny(series: Series) -> Volume:
    """Reads any series as the tiny phantom."""
    return tiny_volume()


@dataclass
class FakeEngine:
    """Predicts the tiny phantom. doubt: what `FakeGate` will read. raises: happens instead."""

    bundle: BundleId = BUNDLE
    doubt: float = 0.2
    raises: BaseException | None = None
    seeds: list[int] = field(default_factory=list)

    def predict(self, volume: Volume, *, seed: int) -> Prediction:
        self.seeds.append(seed)
        if self.raises is not None:
            raise self.raises
        return replace(_tiny_prediction(), feature_distance=self.doubt, seed=seed)


@dataclass
class FakeGate:
    """Accepts what is certain: doubt <= limit."""

    limit: float = 1.0

    def decide(self, case: Case, prediction: Prediction) -> Verdict:
        doubt = prediction.feature_distance
        passes = doubt <= self.limit
        reason = Reason(
            signal="doubt", text="The case is in doubt.", value=doubt, limit=self.limit, part=doubt, action="Look."
        )
        return Verdict(
            route=Route.ACCEPTED if passes else Route.HUMAN_REVIEW,
            score=doubt,
            limit=self.limit,
            signals=(SignalReading(name="doubt", title="Doubt", value=doubt, limit=self.limit, part=doubt),),
            reasons=() if passes else (reason,),
            action="Use the measurements." if passes else "Look.",
            place=None,
            promise=PROMISE,
        )


@dataclass
class RecordingWriter:
    """Writes what was decided, and remembers for whom. raises: happens instead."""

    name: str = "record.json"
    raises: BaseException | None = None
    written: list[str] = field(default_factory=list)

    def __call__(self, report: Report, folder: Path) -> None:
        if self.raises is not None:
            raise self.raises
        self.written.append(report.case.pseudonym)
        seed = report.prediction.seed if report.prediction else None
        record = {"pseudonym": report.case.pseudonym, "route": report.verdict.route, "seed": seed}
        (folder / self.name).write_text(json.dumps(record))


@dataclass
class InMemoryQueue:
    """The queue by its contract, in a dict: the latest decision of each key, the open item of each case."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    decided: dict[tuple[str, str, str], Report] = field(default_factory=dict)
    current: dict[str, Report] = field(default_factory=dict)
    waiting_since: dict[str, datetime] = field(default_factory=dict)

    def settle(self, report: Report, *, blind: bool = False) -> None:
        pseudonym = report.case.pseudonym
        self.decided[(pseudonym, report.case.content_sha256, report.bundle.digest)] = report
        self.current[pseudonym] = report
        if report.verdict.route is Route.ACCEPTED and not blind:
            self.waiting_since.pop(pseudonym, None)
        else:
            self.waiting_since.setdefault(pseudonym, self.clock())

    def is_decided(self, content_sha256: str, bundle_digest: str) -> bool:
        return any(
            key[1:] == (content_sha256, bundle_digest) and getattr(report.case, "code", None) is not Code.INTERNAL
            for key, report in self.decided.items()
        )

    def open_items(self) -> tuple[OpenItem, ...]:
        items = [_open_item(self.current[name], since) for name, since in self.waiting_since.items()]
        return tuple(sorted(items, key=lambda item: (-item.doubt, item.waiting_since)))


def _open_item(report: Report, since: datetime) -> OpenItem:
    reasons = report.verdict.reasons  # none: drawn for a blind review
    return OpenItem(
        pseudonym=report.case.pseudonym,
        route=report.verdict.route if reasons else Route.HUMAN_REVIEW,
        doubt=report.verdict.doubt,
        reason=reasons[0].text if reasons else report.verdict.signals[0].title,
        action=report.verdict.action,
        bundle_digest=report.bundle.digest,
        waiting_since=since,
    )


def tiny_report(
    pseudonym: str = "case-1", *, doubt: float = 0.2, content: str = "a" * 64, bundle: BundleId = BUNDLE
) -> Report:
    """What the fake engine and gate make of a case: flagged when its doubt is over 1."""
    case = a_case(pseudonym, content_sha256=content)
    prediction = FakeEngine(doubt=doubt).predict(tiny_volume(), seed=0)
    verdict = FakeGate().decide(case, prediction)
    return Report(case=case, verdict=verdict, bundle=bundle, volume=tiny_volume(), prediction=prediction)


def refuse(refused: RefusedInput) -> Verdict:
    """A refused input goes to a human with its message."""
    return a_refused_verdict(refused)


def fake_tools(queue: Queue | None = None, **changes: object) -> Tools:
    """Tools that decide in milliseconds."""
    tools = Tools(
        read=read_tiny,
        engine=FakeEngine(),
        gate=FakeGate(),
        refuse=refuse,
        writers={"record": RecordingWriter()},
        queue=queue or InMemoryQueue(),
        promise=PROMISE,
    )
    return replace(tools, **changes)  # type: ignore[arg-type]


@dataclass
class FakeWatch:
    """Remembers what a run told. on_enter: happens at every stage."""

    on_enter: Callable[[str, Stage], None] = lambda _pseudonym, _stage: None
    total: int | None = None
    entered: list[tuple[str, Stage]] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    def begin(self, total: int) -> None:
        self.total = total

    def enter(self, pseudonym: str, stage: Stage) -> None:
        self.entered.append((pseudonym, stage))
        self.on_enter(pseudonym, stage)

    def done(self, outcome: object) -> None:
        self.routes.append(outcome.route)  # type: ignore[attr-defined]
