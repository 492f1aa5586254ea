"""Promotion and the way back: what is refused, what is recorded, and what a crash leaves."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from models.bundle import seal
from pipelines import bundles
from pipelines.bundles import bundle_in_use, digest_of, identify, keep, kept_folder, open_history, substance
from pipelines.comparison import Comparison, write_comparison
from pipelines.frozen import freeze_set, frozen_set
from pipelines.model_card import CARD, Making
from pipelines.paired import Standing
from pipelines.promote import agree, comparison_file
from pipelines.run import gather_tools, run
from pipelines.run_case import Tools
from pipelines.settings import SHIPPED_BUNDLE, Settings
from tests.builders import a_case
from tests.fakes import FakeEngine, FakeGate, FakeWatch, tiny_volume
from tests.pipelines.promotions import FakeRegistry, FileRegistry, a_bundle, killed_in_a_child, promote, rollback
from tests.pipelines.test_comparison import FROZEN, comparison, difference
from triage.case import Inventory
from triage.errors import TriageError
from triage.gate.operating_point import FILE
from triage.report.as_json import as_json
from triage.review import History, ReviewQueue, open_queue

COMPARED: Mapping[Standing, Comparison] = {
    Standing.BETTER: comparison(difference("dice", gain=0.02)),
    Standing.NOT_WORSE: comparison(),
    Standing.WORSE: comparison(difference("dice", group="age: old", gain=-0.1)),
    Standing.CANNOT_TELL: comparison(difference("augrc", spread=0.1)),
}
MAKING = Making(run_id="abc", datasets={"corrections_train": "f" * 36}, metrics={"head.dice.train.after": 0.875})


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What comes with the program."""
    folder = a_bundle(tmp_path / "shipped", "shipped")
    monkeypatch.setattr(bundles, "SHIPPED_BUNDLE", folder)
    return folder


@pytest.fixture
def settings(tmp_path: Path, shipped: Path) -> Settings:
    return Settings(out=tmp_path / "out", state=tmp_path / "state")


@pytest.fixture
def history(settings: Settings) -> Iterator[History]:
    settings.state_folder.mkdir()
    with open_history(settings) as history:
        yield history


@pytest.fixture
def challenger(tmp_path: Path) -> Path:
    return a_bundle(tmp_path / "challenger", "challenger")


def compare(settings: Settings, history: History, challenger: Path, standing: Standing = Standing.BETTER) -> None:
    """Leave the file that `brain-triage challenge` leaves."""
    live = bundle_in_use(settings, history.live())
    write_comparison(COMPARED[standing], comparison_file(settings, live, challenger))


def in_use(settings: Settings, history: History) -> str:
    """The weights that the next run decides with."""
    return (bundle_in_use(settings, history.live()) / "models" / "network.safetensors").read_text()


@pytest.mark.parametrize("standing", [Standing.BETTER, Standing.NOT_WORSE])
def test_a_challenger_that_lost_nothing_goes_live(
    settings: Settings, history: History, challenger: Path, standing: Standing
) -> None:
    assert in_use(settings, history) == "shipped"
    compare(settings, history, challenger, standing)
    registry = FakeRegistry(making=MAKING)

    now = promote(challenger, settings, history, registry)

    live = history.live()
    assert live is not None
    assert in_use(settings, history) == "challenger"
    assert (live.bundle, live.mlflow_version, registry.alias) == (now.bundle, "1", "1")
    assert registry.tags[now.bundle.digest] == {"training.run": "abc"}
    assert standing in live.because
    assert live.by == "olga"


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing.WORSE, r"is worse than the live model \(Dice, age: old\)"),
        (Standing.CANNOT_TELL, r"not shown to be no worse than the live model \(AUGRC, all\)"),
        (None, "was not compared"),
    ],
)
def test_a_challenger_that_lost_or_was_not_compared_is_refused_unless_somebody_says_why(
    settings: Settings, history: History, challenger: Path, standing: Standing | None, words: str
) -> None:
    if standing is not None:
        compare(settings, history, challenger, standing)
    with pytest.raises(TriageError, match=words):
        promote(challenger, settings, history, None)
    assert history.lives() == ()

    promote(challenger, settings, history, None, because="The old scanner is gone.")

    live = history.live()
    assert live is not None
    assert live.because.startswith("The old scanner is gone. (The challenger ")
    assert "The old scanner is gone." in (kept_folder(settings, live.bundle.digest) / CARD).read_text()


def test_a_comparison_with_a_model_that_is_no_longer_live_gives_no_leave(
    settings: Settings, history: History, challenger: Path, tmp_path: Path
) -> None:
    compare(settings, history, challenger)
    promote(a_bundle(tmp_path / "other", "other"), settings, history, None, because="First.")

    with pytest.raises(TriageError, match="was not compared"):
        promote(challenger, settings, history, None)


def test_the_card_of_the_live_bundle_holds_the_comparison_and_the_bundle_is_sealed_with_it(
    settings: Settings, history: History, challenger: Path
) -> None:
    compare(settings, history, challenger)

    now = promote(challenger, settings, history, FakeRegistry(making=MAKING))

    folder = kept_folder(settings, now.bundle.digest)
    card = (folder / CARD).read_text()
    assert card.startswith("# Model card: challenger")
    assert "Made by the retraining abc" in card
    assert f"| corrections_train | {'f' * 36} |" in card
    assert "| head.dice.train.after | .875 |" in card
    assert "| all | Dice | 40 |" in card
    assert identify(folder) == now.bundle
    assert substance(folder) == substance(challenger)


def test_another_test_set_takes_a_reason_which_is_recorded_and_from_then_on_it_is_the_frozen_one(
    settings: Settings, history: History, challenger: Path
) -> None:
    freeze_set(settings, FROZEN)
    other = comparison(cases="cd" * 32)
    write_comparison(other, comparison_file(settings, bundle_in_use(settings, history.live()), challenger))

    with pytest.raises(TriageError, match="another test set than the frozen one"):
        promote(challenger, settings, history, None)
    assert frozen_set(settings) == FROZEN
    promote(challenger, settings, history, None, because="More scans.")

    assert history.lives()[-1].because == (
        "More scans. (The challenger was compared on another test set than the frozen one.)"
    )
    assert frozen_set(settings) == other.cases


def test_a_promotion_done_twice_is_done_once(settings: Settings, history: History, challenger: Path) -> None:
    first = promote(challenger, settings, history, None, because="Why.")
    again = [promote(one, settings, history, None) for one in (challenger, kept_folder(settings, first.bundle.digest))]

    assert [one.bundle for one in again] == [first.bundle] * 2
    assert [life.bundle.version for life in history.lives()] == ["1.shipped", "1.challenger"]


def test_rollback_goes_back_one_promotion_at_a_time_and_what_was_when_is_kept(
    settings: Settings, history: History, challenger: Path, tmp_path: Path
) -> None:
    second = a_bundle(tmp_path / "second", "second")
    registry = FakeRegistry()
    for bundle in (challenger, second):
        promote(bundle, settings, history, registry, because="Why.")

    weights = [(rollback(settings, history, registry), in_use(settings, history))[1] for _ in range(2)]

    assert weights == ["challenger", "shipped"]
    versions = [life.bundle.version for life in history.lives()]
    assert versions == ["1.shipped", "1.challenger", "1.second", "1.challenger", "1.shipped"]
    assert (
        registry.alias == registry.versions[digest_of(kept_folder(settings, history.lives()[-1].bundle.digest)) or ""]
    )
    with pytest.raises(TriageError, match="No bundle was live before"):
        rollback(settings, history, registry)


def test_what_was_rolled_back_can_be_promoted_again_as_it_was(
    settings: Settings, history: History, challenger: Path
) -> None:
    first = promote(challenger, settings, history, None, because="Why.").bundle
    rollback(settings, history, None)

    again = promote(kept_folder(settings, first.digest), settings, history, None, because="It was right.").bundle

    assert again == first


def test_a_running_job_finishes_on_the_bundle_that_it_began_with(
    settings: Settings, history: History, challenger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The tools of a run as they are gathered, but for a network and a gate that cost nothing."""

    def load_engine(folder: Path, **_: object) -> FakeEngine:
        return FakeEngine(bundle=identify(folder))

    def gather(settings: Settings, queue: ReviewQueue) -> Tools:
        return replace(
            gather_tools(settings, queue), read=lambda _: tiny_volume(), gate=FakeGate(), writers={"json": as_json}
        )

    @dataclass
    class Promoting(FakeWatch):
        """After the first case somebody promotes the challenger."""

        def done(self, outcome: object) -> None:
            promote(challenger, settings, history, None, because="Now.")

    monkeypatch.setattr("pipelines.engine.load_engine", load_engine)
    for folder in (tmp_path / "shipped", challenger):
        shutil.copyfile(SHIPPED_BUNDLE / FILE, folder / FILE)
        seal(folder)
    (tmp_path / "inbox").mkdir()
    settings = settings.changed({"tracking": {"on": False}})
    inventory = Inventory(cases=(a_case("case-a"), a_case("case-b", content_sha256="b" * 64)), refused=(), skipped={})

    def decided_by(watch: FakeWatch) -> str:
        """Version of the bundle of a run, of which all its decisions are."""
        found = run(tmp_path / "inbox", settings, watch, gather=gather, find=lambda *_: inventory)
        cases = [case for case in history.decided_by(found.bundle.digest) if case.decision.current]
        assert [case.pseudonym for case in cases] == ["case-a", "case-b"]
        return found.bundle.version

    assert decided_by(Promoting()) == "1.shipped"
    assert in_use(settings, history) == "challenger"
    assert decided_by(FakeWatch()) == "1.challenger"


def test_every_change_is_an_audit_row(settings: Settings, history: History, challenger: Path) -> None:
    promote(challenger, settings, history, None, because="Why.")
    rollback(settings, history, None)

    queue = open_queue(settings.review_database)
    assert (queue.verify_audit().rows, queue.verify_audit().broken) == (3, None)
    queue.close()


def test_a_bundle_that_the_settings_name_wins_and_then_nothing_can_be_promoted(
    settings: Settings, history: History, challenger: Path, tmp_path: Path
) -> None:
    promote(challenger, settings, history, None, because="Why.")
    pinned = settings.changed({"bundle": tmp_path / "shipped"})

    assert in_use(pinned, history) == "shipped"
    with pytest.raises(TriageError, match="that one wins"):
        promote(challenger, pinned, history, None, because="Why.")


@pytest.mark.parametrize("damage", ["missing", "list", "weights"])
def test_a_live_bundle_that_is_missing_or_altered_decides_nothing(
    settings: Settings, history: History, challenger: Path, damage: str
) -> None:
    now = promote(challenger, settings, history, None, because="Why.")
    folder = kept_folder(settings, now.bundle.digest)
    if damage == "missing":
        folder.rename(folder.with_name("gone"))
    else:
        (folder / "models" / "network.safetensors").write_text("altered")
    if damage == "list":
        seal(folder)

    with pytest.raises(TriageError, match=r"altered, or is missing|was changed") as caught:
        identify(bundle_in_use(settings, history.live()))  # a run checks the files where it loads them

    assert caught.value.do
    assert rollback(settings, history, None).bundle.version == "1.shipped"


def test_a_rollback_to_a_bundle_that_was_altered_is_refused(
    settings: Settings, history: History, challenger: Path
) -> None:
    promote(challenger, settings, history, None, because="Why.")
    below = kept_folder(settings, history.lives()[0].bundle.digest)
    (below / "models" / "network.safetensors").write_text("altered")

    with pytest.raises(TriageError, match="was changed"):
        rollback(settings, history, None)
    assert in_use(settings, history) == "challenger"


def test_a_kept_bundle_is_never_overwritten(settings: Settings, challenger: Path) -> None:
    (settings.state_folder / "bundles").mkdir(parents=True)
    place = kept_folder(settings, keep(challenger, settings).digest)
    (place / "models" / "network.safetensors").write_text("altered")

    with pytest.raises(TriageError, match="was changed"):
        keep(challenger, settings)


def test_a_bundle_that_is_not_sealed_is_refused(settings: Settings, history: History, challenger: Path) -> None:
    (challenger / "models" / "extra").write_text("x")

    with pytest.raises(TriageError, match="is not listed"):
        promote(challenger, settings, history, None, because="Why.")


def test_mlflow_cannot_stop_a_promotion_and_is_told_later(
    settings: Settings, history: History, challenger: Path
) -> None:
    registry = FakeRegistry(fails=ConnectionError("password"))
    now = promote(challenger, settings, history, registry, because="Why.")
    assert now.warning is not None
    assert "password" not in now.warning
    assert in_use(settings, history) == "challenger"

    told = replace(registry, fails=None)

    assert agree(settings, history, told) is None
    assert told.alias == told.versions[now.bundle.digest]


@pytest.mark.parametrize("moment", ["copied", "register", "live", "alias"])
def test_killed_at_any_step_the_next_command_finds_all_in_agreement(
    settings: Settings, history: History, challenger: Path, tmp_path: Path, moment: str
) -> None:
    first = a_bundle(tmp_path / "first", "first")
    registry = FileRegistry(folder=tmp_path)
    promote(first, settings, history, registry, because="First.")

    killed_in_a_child(settings, challenger, moment, tmp_path)

    before = in_use(settings, history)
    assert before == ("challenger" if moment == "alias" else "first")
    assert agree(settings, history, registry) is None
    live = history.live()
    assert live is not None
    assert (tmp_path / "alias").read_text() == live.bundle.digest
    if before == "first":
        promote(challenger, settings, history, registry, because="Again.")
    assert in_use(settings, history) == "challenger"
    assert [life.bundle.version for life in history.lives()] == ["1.shipped", "1.first", "1.challenger"]
    assert not list((settings.state_folder / "bundles").glob(".partial-*"))
