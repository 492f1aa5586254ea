"""Killed at any moment, the review loses nothing, does nothing twice and keeps its chain whole."""

import hashlib
import json
import multiprocessing
import os
import random
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from tests.databases import Databases, forked
from tests.fakes import tiny_report
from tests.triage.review.desks import Room
from triage.review import ReaderVerdict, ReviewDesk, ReviewQueue, State, connect
from triage.review.records import Opinion

CASES = 12
KILLS = int(os.environ.get("BRAIN_TRIAGE_KILLS", "10"))


def review_all(url: str, folder: Path, account: int, done: Connection) -> None:
    """Settle, correct and decide every case, from wherever the one before was killed; tells what it has done."""
    engine = connect(url)
    queue, desk = ReviewQueue(engine), ReviewDesk(engine, corrections=folder)
    for number in range(CASES):
        pseudonym = f"case-{number}"
        queue.settle(tiny_report(pseudonym, doubt=2.0))
        done.send(("decided", pseudonym))
        item = desk.case(pseudonym, account=account).item
        assert item is not None
        if item.state is State.DECIDED:
            continue
        desk.claim(item.item_id, account=account)
        labels = np.full((8, 8, 8), number, np.uint8)
        kept = desk.keep_correction(item.item_id, labels, np.eye(4), account=account)
        done.send(("correction_kept", pseudonym))
        opinion = Opinion(verdict=ReaderVerdict.CORRECT, code="boundary", correction_sha256=kept.sha256)
        desk.decide(item.item_id, opinion, account=account)
        done.send(("read", pseudonym))
    done.send(None)


def reviewer(url: str, folder: Path, account: int) -> tuple[BaseProcess, Connection]:
    """A process that reviews, and where it tells what it has done; a None at the end."""
    mine, its = multiprocessing.Pipe(duplex=False)
    process = forked(review_all, url, folder, account, its)
    its.close()
    return process, mine


def told(done: Connection, steps: int) -> list[tuple[str, str] | None]:
    """Up to so many steps; fewer when the process has ended."""
    found = []
    try:
        for _ in range(steps):
            found.append(done.recv())
    except EOFError:
        pass
    return found


def review_under_fire(url: str, folder: Path, *, kills: int, seed: int) -> Room:
    """Reviewers are killed, each a random moment after a random step, then one may finish.

    What one told as done must be there at once.
    """
    room = Room(connect(url), folder)
    draw = random.Random(seed)
    for _ in range(kills):
        process, done = reviewer(url, folder, room.people["olga"])
        before = told(done, draw.randrange(1, CASES))
        time.sleep(draw.uniform(0, 0.03))
        process.kill()
        process.join()
        events = {(row["event"], row.get("pseudonym")) for row in map(json.loads, room.events())}
        assert {*before, *told(done, 3 * CASES)} <= {*events, None}
        assert room.queue.verify_audit().broken is None
    process, done = reviewer(url, folder, room.people["olga"])
    assert None in told(done, 3 * CASES + 1)
    process.join()
    return room


def test_killed_at_random_moments_nothing_is_lost_nothing_is_done_twice_and_the_chain_is_whole(
    databases: Databases, tmp_path: Path
) -> None:
    room = review_under_fire(databases.made(), tmp_path / "corrections", kills=KILLS, seed=0)
    events = Counter((row["event"], row.get("pseudonym")) for row in map(json.loads, room.events()))
    readings = room.desk.readings()
    kept = [reading.correction for reading in readings if reading.correction]

    names = {f"case-{number}" for number in range(CASES)}
    assert {n for event in ("decided", "correction_kept", "read") for n in (events[event, p] for p in names)} == {1}
    assert Counter(reading.pseudonym for reading in readings) == Counter(names)
    assert all(hashlib.sha256((room.folder / c.path).read_bytes()).hexdigest() == c.sha256 for c in kept)
    assert len(kept) == CASES and room.waiting() == []
    assert room.queue.verify_audit().broken is None
    room.engine.dispose()
