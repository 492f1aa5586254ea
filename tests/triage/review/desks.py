"""A review desk with its people, its clock and its cases."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from argon2 import PasswordHasher
from sqlalchemy import Engine, text

from tests.fakes import tiny_report
from triage.review import Accounts, AuditState, ReaderVerdict, ReviewDesk, ReviewQueue, Role, open_queue
from triage.review.database import transaction
from triage.review.records import Filters, Opinion
from triage.review.tables import Account

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "three words suffice"
HASHED = QUICK.hash(PASSWORD)
ACCEPT = Opinion(verdict=ReaderVerdict.ACCEPT, code="right")
REJECT = Opinion(verdict=ReaderVerdict.REJECT, code="failed", note="Ask Dr Strange.")


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = datetime(2026, 1, 1, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Room:
    """Everything that reviews in one database. people: account ids by name; olga is the owner."""

    engine: Engine
    folder: Path
    double: bool = False
    clock: Clock = field(default_factory=Clock)
    people: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.engine, clock=self.clock, hasher=QUICK)
        self.queue = ReviewQueue(self.engine, clock=self.clock)
        self.desk = ReviewDesk(self.engine, corrections=self.folder, double=self.double, clock=self.clock)
        self.add("olga", role=Role.OWNER)

    def add(self, *names: str, role: Role = Role.REVIEWER) -> None:
        """Accounts with their password, without the links that lead to it."""
        settled = {"role": role.value, "password_hash": HASHED, "active": True, "session_epoch": 0, "failures": 0}
        with transaction(self.engine) as session:
            accounts = [Account(name=name, created_at=self.clock.now, **settled) for name in names]
            session.add_all(accounts)
            session.flush()
            self.people |= {account.name: account.id for account in accounts}

    def flag(self, pseudonym: str, doubt: float = 2.0) -> int:
        """A case in doubt; gives its item."""
        self.queue.settle(tiny_report(pseudonym, doubt=doubt))
        return self.item(pseudonym)

    def item(self, pseudonym: str) -> int:
        item = self.desk.case(pseudonym, account=self.people["olga"]).item
        assert item is not None
        return item.item_id

    def waiting(self, who: str = "olga", **filters: object) -> list[str]:
        page = self.desk.page(Filters(**filters), account=self.people[who])  # type: ignore[arg-type]
        return [row.pseudonym for row in page.rows]

    def read(self, item: int, who: str, opinion: Opinion = ACCEPT) -> object:
        self.desk.claim(item, account=self.people[who])
        return self.desk.decide(item, opinion, account=self.people[who])

    def correct(self, item: int, who: str, labels: np.ndarray) -> object:
        self.desk.claim(item, account=self.people[who])
        kept = self.desk.keep_correction(item, labels, np.eye(4), account=self.people[who])
        opinion = Opinion(verdict=ReaderVerdict.CORRECT, code="boundary", correction_sha256=kept.sha256)
        return self.desk.decide(item, opinion, account=self.people[who])

    def events(self) -> Sequence[str]:
        """Contents of the audit, oldest first."""
        with self.engine.connect() as connection:
            return connection.scalars(text("SELECT content FROM audit ORDER BY sequence")).all()


def verified(database: Path, *heads: str) -> AuditState:
    """How the trail in a SQLite file stands."""
    with closing(open_queue(f"sqlite:///{database}")) as queue:
        return queue.verify_audit(heads)
