"""What the queue costs when 100,000 cases wait, on SQLite and on PostgreSQL.

PostgreSQL is measured where BRAIN_TRIAGE_BENCH_POSTGRESQL names an empty database of a running server.
"""

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select, text

from pipelines.bench.page import Bench, Inputs, Results, run, table
from pipelines.turns import seconds
from triage.review import ReaderVerdict, ReviewDesk, Role, connect
from triage.review.database import transaction
from triage.review.records import Filters, Opinion
from triage.review.tables import Account, Decision, Reading, ReviewItem
from triage.review.words import Kind, State
from triage.verdict import Route

WAITING = 100_000
READ_ALREADY = 5_000
"""Open cases that this reviewer has read and that wait for a second one: they are left out of the page."""
REPEATS = 30
BUDGET_MS = 200
SIGNALS = ("entropy", "deep_entropy", "worst_patch", "global_conflict", "focal_conflict", "feature_density")
PAGE = """# What the queue costs

{waiting:,} cases wait, {read:,} of them read by this reviewer already and waiting for a second one: those are left out.
A page is 50 cases, with the counts by route and by reason. The budget of a page is {budget} ms.

Milliseconds over {repeats} repeats: processor time (with PostgreSQL, of the program and the server), which is what a
quiet machine takes, and in brackets the median and the fastest wall time on this one, two cores that {load:.0f}
processes wanted. SQLite {sqlite}, PostgreSQL {postgresql} with its default settings.

{rows}
`python -m pipelines.bench.review_queue`
"""


def fill(engine: Engine) -> int:
    """Cases that wait, as many as the budget says; gives the account of a reviewer."""
    draw = random.Random(0)  # noqa: S311
    start = datetime(2026, 1, 1, tzinfo=UTC)
    at = [start + timedelta(minutes=number) for number in range(WAITING)]
    with transaction(engine) as session:
        account = Account(
            name="reviewer", role=Role.REVIEWER.value, active=True, session_epoch=0, failures=0, created_at=start
        )
        session.add(account)
        session.flush()
        shown = [
            {
                "pseudonym": f"bt-{draw.getrandbits(64):016x}",
                "route": Route.REFUSED if draw.random() < 0.05 else Route.HUMAN_REVIEW,
                "signal": draw.choice(SIGNALS),
                "score": draw.expovariate(1.0) + 1,
            }
            for _ in range(WAITING)
        ]
        session.execute(insert(Decision), [_decision(case, when) for case, when in zip(shown, at, strict=True)])
        ids = session.scalars(select(Decision.id).order_by(Decision.decided_at)).all()
        session.execute(
            insert(ReviewItem), [_item(case, when, id_) for case, when, id_ in zip(shown, at, ids, strict=True)]
        )
        items = session.execute(select(ReviewItem.id, ReviewItem.decision_id).limit(READ_ALREADY)).all()
        session.execute(insert(Reading), [_reading(item, decision, account.id, start) for item, decision in items])
        return account.id


def _decision(case: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    return {
        "pseudonym": case["pseudonym"],
        "content_sha256": case["pseudonym"],
        "bundle_name": "bench",
        "bundle_version": "1.0.0",
        "bundle_digest": "0" * 64,
        "route": case["route"].value,
        "score": case["score"],
        "limit": 1.0,
        "action": "Look.",
        "reasons": [{"signal": case["signal"], "text": "Some places are unclear."}],
        "decided_at": at,
        "current": True,
    }


def _item(case: Mapping[str, Any], at: datetime, decision: int) -> dict[str, Any]:
    return {
        "decision_id": decision,
        "pseudonym": case["pseudonym"],
        "kind": Kind.DOUBT.value,
        "doubt": case["score"],
        "route": case["route"].value,
        "signal": case["signal"],
        "reason": "Some places are unclear.",
        "state": State.OPEN.value,
        "waiting_since": at,
    }


def _reading(item: int, decision: int, account: int, at: datetime) -> dict[str, Any]:
    return {
        "item_id": item,
        "ordinal": 1,
        "final": False,
        "decision_id": decision,
        "account_id": account,
        "verdict": ReaderVerdict.ACCEPT.value,
        "code": "right",
        "note": "",
        "since": at,
        "at": at,
    }


def timed(work: Callable[[], object], server_seconds: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of a piece of work, once it was done: processor time, median and fastest wall time."""
    work()
    before = time.process_time() + server_seconds()
    wall = [1000 * seconds(work) for _ in range(REPEATS)]
    spent = 1000 * (time.process_time() + server_seconds() - before) / REPEATS
    return {"processor": spent, "median": statistics.median(wall), "fastest": min(wall)}


def server_clock(engine: Engine) -> Callable[[], float]:
    """Processor seconds of the server's process behind a connection; SQLite has none."""
    if engine.dialect.name == "sqlite":
        return lambda: 0.0
    with engine.connect() as connection:
        status = Path(f"/proc/{connection.scalar(text('SELECT pg_backend_pid()'))}/stat")

    def spent() -> float:
        fields = status.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime: proc(5)

    return spent


def bench_desk(engine: Engine, corrections: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of what a reviewer waits for."""
    account = fill(engine)
    if engine.dialect.name == "postgresql":  # its own housekeeping would do it within a minute
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    clock = server_clock(engine)
    desk = ReviewDesk(engine, corrections=corrections, double=True)

    def page(**filters: Any) -> Callable[[], object]:
        after = filters.pop("after", None)
        return lambda: desk.page(Filters(**filters), account=account, after=after)

    with transaction(engine, reads_only=True) as session:
        order = (ReviewItem.doubt.desc(), ReviewItem.waiting_since, ReviewItem.id)
        middle = session.scalar(select(ReviewItem.id).order_by(*order).offset(WAITING // 2).limit(1))
    rows = iter(desk.page(Filters(), account=account, limit=REPEATS + 1).rows)
    opinion = Opinion(verdict=ReaderVerdict.ACCEPT, code="right")

    def read() -> None:
        row = next(rows)
        desk.case(row.pseudonym, account=account)
        desk.claim(row.item_id, account=account)
        desk.decide(row.item_id, opinion, account=account)

    pieces: Mapping[str, Callable[[], object]] = {
        "first page": page(),
        "a page from the middle": page(after=middle),
        "one route": page(route=Route.REFUSED),
        "one reason": page(signal=SIGNALS[0]),
        "search by a part of the pseudonym": page(search="beef"),
        "open, claim and decide one case": read,
    }
    return {name: timed(work, clock) for name, work in pieces.items()}


def measure(inputs: Inputs) -> Results:
    """The same desk over both databases."""
    del inputs
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as temporary:
        urls = {"sqlite": f"sqlite:///{temporary}/review.db"}
        if postgresql := os.environ.get("BRAIN_TRIAGE_BENCH_POSTGRESQL"):
            urls["postgresql"] = postgresql
        for name, url in urls.items():
            engine = connect(url)
            version = "sqlite_version()" if name == "sqlite" else "current_setting('server_version')"
            with engine.connect() as connection:
                about = connection.scalar(text(f"SELECT {version}"))
            found[name] = {"version": about, "ms": bench_desk(engine, Path(temporary))}
            engine.dispose()
    return found


def write(results: Results, folder: Path) -> str:
    """The page."""
    del folder
    nothing: Mapping[str, Any] = {"version": "(it was not measured)", "ms": {}}
    both = [results.get(name, nothing) for name in ("sqlite", "postgresql")]
    rows = [[name, *(_cell(one["ms"].get(name)) for one in both)] for name in both[0]["ms"]]
    return PAGE.format(
        waiting=WAITING,
        read=READ_ALREADY,
        repeats=REPEATS,
        budget=BUDGET_MS,
        load=results["load"],
        sqlite=both[0]["version"],
        postgresql=both[1]["version"].split(" (Debian")[0],
        rows=table(["", "SQLite", "PostgreSQL"], rows),
    )


def _cell(ms: Mapping[str, float] | None) -> str:
    if ms is None:
        return ""
    over = "" if ms["processor"] <= BUDGET_MS else ": **over the budget**"
    return f"**{ms['processor']:.0f}** ({ms['median']:.0f}, {ms['fastest']:.0f}){over}"


BENCH = Bench(name="review_queue", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
