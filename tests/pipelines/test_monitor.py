"""The monitor of a run: rebuilt from the review database, told to the user, blind reviews drawn by a key."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import pipelines.monitor
from models.bundle import METADATA, write_metadata
from pipelines.bundles import has_learnt, identify
from pipelines.cli import main
from pipelines.monitor import RISK_WITHOUT_PROMISE, drawn_blind, watch
from pipelines.monitor_text import as_text
from pipelines.promises import Promises
from pipelines.run import run
from pipelines.settings import SHIPPED_BUNDLE, Settings
from tests.builders import a_case
from tests.fakes import FakeEngine, FakeGate, FakeWatch, fake_tools, tiny_report, tiny_volume
from tests.verdicts import BUNDLE
from triage.case import Inventory
from triage.gate.monitor import Stance
from triage.gate.monitored import MonitoredGate, alarm
from triage.review import ReviewQueue, open_queue
from triage.verdict import Route

PROMISES = Promises(risk=0.1, confidence=0.95, curve=(), signals={"doubt": tuple(n / 60 for n in range(60))})
NOTHING_PROMISED = Promises(risk=math.nan, confidence=math.nan, curve=())
DOUBTS = [0.1, 0.9, 0.95, 0.3, 0.99, 0.99]


def never(_: str) -> bool:
    return False


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[ReviewQueue]:
    with closing(open_queue(f"sqlite:///{tmp_path / 'review.db'}")) as queue:
        yield queue


def settle(queue: ReviewQueue, doubts: list[float]) -> None:
    for n, doubt in enumerate(doubts):
        queue.settle(tiny_report(f"case-{n}", doubt=doubt, content=f"{n:064x}"))


def test_a_rebuilt_monitor_knows_what_the_one_knew_that_saw_the_cases(queue: ReviewQueue):
    fresh = watch(queue.engine, BUNDLE, PROMISES, ("doubt",)).monitor
    gate = MonitoredGate(gate=FakeGate(), monitor=fresh, seen=set())
    for n, doubt in enumerate(DOUBTS):
        prediction = FakeEngine(doubt=doubt).predict(tiny_volume(), seed=0)
        gate.decide(a_case(f"case-{n}", content_sha256=f"{n:064x}"), prediction)
    settle(queue, DOUBTS)

    rebuilt = watch(queue.engine, BUNDLE, PROMISES, ("doubt",)).monitor

    assert rebuilt.parts == pytest.approx(fresh.parts)
    assert rebuilt.most == pytest.approx(fresh.most)


def test_a_new_bundle_begins_a_new_monitor(queue: ReviewQueue):
    settle(queue, [1.0] * 80)

    stances = [
        watch(queue.engine, bundle, PROMISES, ("doubt",)).monitor.stance
        for bundle in (BUNDLE, replace(BUNDLE, digest="f" * 64))
    ]

    assert stances == [Stance.CLOSED, Stance.AS_SET]


def test_without_a_promise_failures_are_watched_all_the_same_and_the_text_says_so(queue: ReviewQueue):
    watched = watch(queue.engine, BUNDLE, NOTHING_PROMISED, ("worst_patch",))

    assert watched.risk == RISK_WITHOUT_PROMISE
    assert "nothing was promised" in as_text(watched)


@pytest.mark.parametrize(("risk", "told"), [(0.2, False), (0.39, True)])
def test_a_weak_promise_says_how_much_must_fail_before_blind_reviews_speak(
    queue: ReviewQueue, risk: float, told: bool
) -> None:
    watched = watch(queue.engine, BUNDLE, replace(PROMISES, risk=risk), ("worst_patch",))

    said = as_text(watched)

    assert ("only beyond that rate: as long as 39.0% or less fail" in said) is told
    assert ("'correct' by a reader counts as a failure" in said) is told


def test_blind_reviews_are_drawn_with_the_share_that_was_set_and_the_same_at_every_look():
    contents = [f"{n:064x}" for n in range(4000)]
    drawn = drawn_blind(b"k" * 32, 0.02, never)

    chosen = [content for content in contents if drawn(content)]

    assert len(chosen) == pytest.approx(80, abs=3 * math.sqrt(80))
    assert chosen == [content for content in contents if drawn_blind(b"k" * 32, 0.02, never)(content)]


def test_a_case_that_the_model_was_trained_on_is_not_drawn(tmp_path: Path):
    learnt, other = "a" * 64, "b" * 64
    retrained = {"retrained": {"corrections": [f"{learnt[:16]}-{'c' * 16}"]}}
    write_metadata(tmp_path / METADATA, {"brain_triage": retrained})
    drawn = drawn_blind(b"k" * 32, 1.0, has_learnt(tmp_path))

    assert [drawn(content) for content in (learnt, other)] == [False, True]


def test_which_cases_are_drawn_cannot_be_told_without_the_key():
    contents = [f"{n:064x}" for n in range(4000)]
    mine, guess = (drawn_blind(key * 32, 0.5, never) for key in (b"k", b"g"))

    agree = sum(mine(content) == guess(content) for content in contents)

    assert agree == pytest.approx(2000, abs=3 * math.sqrt(1000))


@pytest.mark.parametrize(("share", "waiting"), [(0.0, 0), (1.0, 1)])
def test_an_accepted_case_that_is_drawn_waits_for_a_human(tmp_path: Path, share: float, waiting: int):
    settings = Settings(out=tmp_path / "out", tracking={"on": False})
    (tmp_path / "inbox").mkdir()
    found = Inventory(cases=(a_case("case-a"),), refused=(), skipped={})

    result = run(
        tmp_path / "inbox",
        settings,
        FakeWatch(),
        gather=lambda _, queue: fake_tools(queue, blind=drawn_blind(b"k" * 32, share, never)),
        find=lambda *_: found,
    )

    with closing(open_queue(settings.review_database)) as queue:
        assert len(queue.open_items()) == waiting
    assert result.counts[Route.ACCEPTED] == 1


def test_a_run_under_an_alarm_says_so_on_its_page_and_warns(tmp_path: Path, queue: ReviewQueue):
    settle(queue, [1.0] * 80)
    watched = watch(queue.engine, BUNDLE, PROMISES, ("doubt",))
    settings = Settings(out=tmp_path / "out", tracking={"on": False})
    (tmp_path / "inbox").mkdir()

    result = run(
        tmp_path / "inbox",
        settings,
        FakeWatch(),
        gather=lambda _, queue: fake_tools(
            queue,
            gate=MonitoredGate(gate=FakeGate(), monitor=watched.monitor, seen=set(watched.observed.cases)),
            alarm=lambda: alarm(watched.monitor),
        ),
        find=lambda *_: Inventory(cases=(a_case("case-a"),), refused=(), skipped={}),
    )

    assert result.counts[Route.HUMAN_REVIEW] == 1
    assert result.warnings[0].startswith("The gate is closed")
    assert "The gate is closed" in (settings.out / "index.html").read_text()


def test_the_command_tells_the_state_of_the_bundle_in_use(tmp_path: Path, capsys):
    bundle, state = identify(SHIPPED_BUNDLE), tmp_path / "state"
    state.mkdir()
    with closing(open_queue(f"sqlite:///{state / 'review.db'}")) as queue:
        queue.settle(tiny_report("case-1", bundle=bundle), blind=True)

    status = main(["monitor", "--state", str(state), "--json"])

    printed = json.loads(capsys.readouterr().out)
    assert (status, printed["stance"], printed["cases"]) == (0, "as_set", 1)
    assert printed["bundle"]["digest"] == bundle.digest
    assert printed["blind"] == {"drawn": 1, "read": 0, "failed": 0}


def test_the_command_ends_with_2_on_an_alarm(
    tmp_path: Path, queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch, capsys
):
    settle(queue, [1.0] * 80)
    watched = watch(queue.engine, BUNDLE, PROMISES, ("doubt",))
    monkeypatch.setattr(pipelines.monitor, "watch_in_use", lambda _: watched)

    status = main(["monitor", "--state", str(tmp_path), "--json"])

    assert status == 2
    assert json.loads(capsys.readouterr().out)["stance"] == "closed"
