"""What the review hands out and takes in: rows of the database as frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from triage.review.agreement import Agreement
from triage.review.errors import Incomplete
from triage.review.words import CODES, Kind, ReaderVerdict, State
from triage.verdict import BundleId, Route

LONGEST_NOTE = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What of the queue to show. signal: the first reason's, as in `QueueRow`. search: a part of the pseudonym."""

    route: Route | None = None
    signal: str | None = None
    search: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One case that waits. doubt: may be infinite. signal: key of its first reason. claimed_by: who has it in hand."""

    item_id: int
    pseudonym: str
    route: Route
    doubt: float
    signal: str
    reason: str
    waiting_since: datetime
    claimed_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePage:
    """A page of the queue. by_route, by_signal: how many wait that match the search, whatever the other filters.

    waiting: how many match all filters. after: give it to the next call for the next page; None on the last.
    """

    rows: tuple[QueueRow, ...]
    waiting: int
    by_route: Mapping[Route, int]
    by_signal: Mapping[str, int]
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who has an item in hand, and until when nobody else can take it."""

    item_id: int
    by: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a reviewer says. code: a key of `CODES[verdict]`. note: free text, shown to reviewers and to nobody else.

    correction_sha256: of a correction kept for this case; given with `CORRECT` and only then.
    """

    verdict: ReaderVerdict
    code: str
    note: str = field(default="", repr=False)
    correction_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.code not in CODES[self.verdict]:
            raise Incomplete("The verdict has no coded reason.", do=f"Choose one of {', '.join(CODES[self.verdict])}.")
        if (self.verdict is ReaderVerdict.CORRECT) != (self.correction_sha256 is not None):
            raise Incomplete("A correction belongs to the verdict correct.", do="Draw or upload one, then decide.")
        if len(self.note) > LONGEST_NOTE:
            raise Incomplete("The note is too long.", do=f"Use up to {LONGEST_NOTE} characters.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """What the pipeline decided on a case, once. current: the latest."""

    content_sha256: str
    bundle: BundleId
    route: Route
    code: str | None
    score: float
    limit: float
    decided_at: datetime
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRecord:
    """A label volume that a reviewer made. path: relative to the folder of corrections."""

    sha256: str
    path: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingRecord:
    """One reviewer's verdict, fit for tables and tracking: the note is not in it.

    final: it closed its item. since: when the reviewer took the case in hand, so at - since is the time it took.
    """

    pseudonym: str
    kind: Kind
    decision: DecisionRecord
    verdict: ReaderVerdict
    code: str
    by: str
    since: datetime
    at: datetime
    final: bool
    correction: CorrectionRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedReading:
    """A reading with its note, for a reviewer's eyes."""

    reading: ReadingRecord
    note: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRecord:
    """The latest review item of a case.

    blind: the page must show neither route, reasons nor score of the gate, only what stands here: an accepted case that
    was drawn for quality control and waits. readings: how many were given. read_by_me: one is this reviewer's.
    """

    item_id: int
    state: State
    blind: bool
    route: Route
    doubt: float
    reason: str
    waiting_since: datetime
    claim: Claim | None
    readings: int
    read_by_me: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFile:
    """All that the database knows of a case. decisions, readings: newest first. item: None when it never waited.

    readings: without those that a second reader must not see.
    """

    pseudonym: str
    decisions: tuple[DecisionRecord, ...]
    item: ItemRecord | None
    readings: tuple[NotedReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What came of a verdict. state: still open when another reader is needed. agreement: after a second reading."""

    state: State
    agreement: Agreement | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedCase:
    """A case with one decision on it."""

    pseudonym: str
    decision: DecisionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDecision:
    """Which bundle decided last before a moment, and when."""

    bundle: BundleId
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRecord:
    """A bundle and when it was live. until: None while it is. mlflow_version: in the model registry, if it came so."""

    bundle: BundleId
    mlflow_version: str | None
    since: datetime
    until: datetime | None
    by: str
    because: str
