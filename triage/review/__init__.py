"""The durable queue of cases that wait for a human, what humans said of them, and the trail of all that was decided."""

from triage.review.accounts import Accounts, Person
from triage.review.database import connect
from triage.review.desk import ReviewDesk
from triage.review.history import History
from triage.review.records import LiveRecord
from triage.review.review_queue import AuditState, OpenItem, ReviewQueue, open_queue
from triage.review.words import CODES, Kind, ReaderVerdict, Role, State

__all__ = [
    "CODES",
    "Accounts",
    "AuditState",
    "History",
    "Kind",
    "LiveRecord",
    "OpenItem",
    "Person",
    "ReaderVerdict",
    "ReviewDesk",
    "ReviewQueue",
    "Role",
    "State",
    "connect",
    "open_queue",
]
