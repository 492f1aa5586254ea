"""A run that is killed anywhere, kill -9, and run again ends as if nothing had happened."""

import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import FrameType

import pytest
import structlog

from pipelines.folders import MANIFEST, locked
from pipelines.inbox import Desk, run_inbox
from pipelines.run_case import Stage
from tests.builders import a_case, a_refused_input
from tests.fakes import FakeEngine, fake_tools, tiny_volume
from tests.verdicts import BUNDLE
from triage.case import Inventory
from triage.review import open_queue
from triage.verdict import BundleId

CASES = (a_case("case-a"), a_case("case-b"))
INVENTORY = Inventory(cases=CASES, refused=(a_refused_input("case-r"),), skipped={})
NEW_BUNDLE = BundleId(name="brain-triage", version="2", digest="2" * 64)
TOUCHES_DISK = {"execute", "commit", "fsync", "rename", "mkdir", "open", "write", "close", "rmdir", "unlink"}


class Killed:
    """Runs an inbox with a real queue in a child process, which dies by SIGKILL where it is told to."""

    def __init__(self, root: Path, inventory: Inventory, bundle: BundleId = BUNDLE, doubt: float = 0.2) -> None:
        self.root, self.out = root, root / "out"
        self._inventory, self._bundle, self._doubt = inventory, bundle, doubt

    def run(self, *, at_stage: tuple[str, Stage] | None = None, at_call: int | None = None) -> bool:
        """Whether the child died of its wound; without one it must end well."""
        child = os.fork()
        if child == 0:
            try:
                self._child(at_stage, at_call)
                os._exit(0)
            except BaseException:
                sys.setprofile(None)
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0
        return killed

    def _child(self, at_stage: tuple[str, Stage] | None, at_call: int | None) -> None:
        def enter(pseudonym: str, stage: Stage) -> None:
            if (pseudonym, stage) == at_stage:
                os.kill(os.getpid(), signal.SIGKILL)

        if at_call is not None:
            sys.setprofile(_kill_at(at_call))
        with locked(self.out), closing(open_queue(f"sqlite:///{self.root / 'review.db'}")) as queue:
            tools = fake_tools(queue, engine=FakeEngine(bundle=self._bundle, doubt=self._doubt))
            desk = Desk(tools=tools, out=self.out, log=structlog.wrap_logger(structlog.ReturnLogger()), enter=enter)
            list(run_inbox(self._inventory, desk))

    def state(self) -> dict[str, object]:
        """All that a user can see of it in the end; timings and moments aside."""
        with closing(sqlite3.connect(self.root / "review.db")) as database:
            decisions = database.execute(
                "SELECT pseudonym, bundle_digest, route, current FROM decision ORDER BY 1, 2"
            ).fetchall()
            items = database.execute("SELECT pseudonym, state FROM review_item ORDER BY 1, 2").fetchall()
            (audit,) = database.execute("SELECT count(*) FROM audit").fetchone()
        with closing(open_queue(f"sqlite:///{self.root / 'review.db'}")) as queue:
            broken = queue.verify_audit().broken
        return {
            "files": {
                str(path.relative_to(self.out)): "" if path.name == MANIFEST else path.read_text()
                for path in sorted(self.out.rglob("*"))
                if path.is_file()
            },
            "decisions": decisions,
            "items": items,
            "audit": (audit, broken),
        }


def _kill_at(call: int) -> Callable[[FrameType, str, object], None]:
    """A profiler that counts the calls our code makes to the system and to the database, and dies at the n-th."""
    count = 0

    def profile(_: FrameType, event: str, called: object) -> None:
        nonlocal count
        if event == "c_call" and getattr(called, "__name__", "") in TOUCHES_DISK:
            count += 1
            if count == call:
                os.kill(os.getpid(), signal.SIGKILL)

    return profile


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a run ends in when nobody kills it."""
    tiny_volume(), FakeEngine().predict(tiny_volume(), seed=0)  # made once, before any fork
    run = Killed(tmp_path_factory.mktemp("undisturbed"), INVENTORY, doubt=3.0)
    assert not run.run()
    return run.state()


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("pseudonym", ["case-r", "case-a", "case-b"])
def test_killed_at_any_stage_and_run_again_ends_as_if_undisturbed(
    tmp_path: Path, undisturbed: dict[str, object], pseudonym: str, stage: Stage
) -> None:
    run = Killed(tmp_path, INVENTORY, doubt=3.0)
    killed = run.run(at_stage=(pseudonym, stage))
    run.run()

    assert killed == (pseudonym != "case-r" or stage not in (Stage.READ, Stage.PREDICT))
    assert run.state() == undisturbed


def kill_points(step: int) -> Iterator[int]:
    yield from range(1, 2000, step)


def test_killed_at_any_call_to_disk_or_database_and_run_again_ends_as_if_undisturbed(
    tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    inventory = INVENTORY
    for call in kill_points(step=7):
        run = Killed(tmp_path / str(call), inventory, doubt=3.0)
        run.root.mkdir()
        if not run.run(at_call=call):
            break
        run.run()

        assert run.state() == undisturbed, f"killed at call {call}"
    assert call > 7 * 10


def test_killed_while_a_new_bundle_takes_over_the_old_folder_is_never_lost(tmp_path: Path) -> None:
    one = Inventory(cases=CASES[:1], refused=(), skipped={})

    def renewed(root: Path) -> Killed:
        root.mkdir()
        Killed(root, one, doubt=3.0).run()
        return Killed(root, one, bundle=NEW_BUNDLE, doubt=3.0)

    quiet = renewed(tmp_path / "undisturbed")
    quiet.run()
    for call in kill_points(step=5):
        run = renewed(tmp_path / str(call))
        if not run.run(at_call=call):
            break
        run.run()

        assert run.state() == quiet.state(), f"killed at call {call}"
    assert call > 5 * 10
