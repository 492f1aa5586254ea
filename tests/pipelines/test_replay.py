"""A replay says identical, or names what is not; it never guesses what it cannot decide again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipelines.run
from pipelines.bundles import SUMS, kept_folder
from pipelines.replay import Instruments, Replay, replay
from pipelines.run_case import Tools, case_seed
from pipelines.settings import Settings, Tracking
from tests.builders import a_case, a_refused_input
from tests.fakes import FakeEngine, FakeGate, FakeWatch, fake_tools, read_tiny
from tests.verdicts import BUNDLE
from triage.case import Inventory, Volume
from triage.errors import TriageError
from triage.ports import Queue
from triage.prediction import Prediction
from triage.report import WRITERS
from triage.verdict import BundleId

CASE = a_case("case-a")
INVENTORY = Inventory(cases=(CASE,), refused=(a_refused_input("case-r"),), skipped={})
OTHER = replace(BUNDLE, version="2.0.0", digest="f" * 64)


class Shifted(FakeEngine):
    """An engine whose labels differ in one voxel."""

    def predict(self, volume: Volume, *, seed: int) -> Prediction:
        prediction = super().predict(volume, seed=seed)
        labels = prediction.scanner_labels.copy()
        labels[0, 0, 0] += 1
        return replace(prediction, scanner_labels=labels)


def decide(settings: Settings, bundle: BundleId = BUNDLE) -> None:
    def gather(_: Settings, queue: Queue) -> Tools:
        writers = {name: WRITERS[name] for name in ("json", "nifti")}
        return fake_tools(queue, writers=writers, engine=FakeEngine(bundle=bundle))

    inbox = settings.out.parent / "inbox"
    pipelines.run.run(inbox, settings, FakeWatch(), gather=gather, find=lambda *_: INVENTORY)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A run that has decided one case and refused another."""
    (tmp_path / "inbox").mkdir()
    settings = Settings(out=tmp_path / "out", tracking=Tracking(on=False))
    decide(settings)
    folder = kept_folder(settings, BUNDLE.digest)
    folder.mkdir(parents=True)
    (folder / SUMS).write_bytes(b"bundle")  # whose digest the bundle of the builders has
    return settings


def again(
    settings: Settings,
    pseudonym: str = "case-a",
    *,
    engine: FakeEngine | None = None,
    inventory: Inventory = INVENTORY,
    bundle: str = "",
) -> Replay:
    def gather(_: Settings, __: Path, ___: Mapping[str, Any]) -> Instruments:
        read = lambda case: read_tiny(case.structural)  # noqa: E731
        return Instruments(read=read, engine=engine or FakeEngine(), gate=FakeGate())

    inbox = settings.out.parent / "inbox"
    return replay(pseudonym, inbox, settings, bundle=bundle, gather=gather, find=lambda *_: inventory)


def test_a_case_decided_again_is_identical_in_labels_entropy_conflict_and_every_number(settings: Settings) -> None:
    found = again(settings)

    assert found.differs == ()
    assert {"segmentation.nii.gz", "entropy.nii.gz", "conflict.nii.gz", "measurements"} <= set(found.compared)
    assert found.bundle_digest == BUNDLE.digest


def test_the_seed_is_the_one_of_the_report_whatever_the_settings_say_now(settings: Settings) -> None:
    engine = FakeEngine()
    found = again(settings.changed({"seed": 99}), engine=engine)

    assert found.differs == ()
    assert engine.seeds == [case_seed(0, CASE.content_sha256, BUNDLE.digest)]


def test_one_other_voxel_is_named_by_its_file(settings: Settings) -> None:
    assert again(settings, engine=Shifted()).differs == ("segmentation.nii.gz",)


def test_another_number_is_named_by_its_place_in_the_report(settings: Settings) -> None:
    found = again(settings, engine=FakeEngine(doubt=0.3))

    assert "uncertainty.feature_distance: 0.2 became 0.3" in found.differs
    assert "score: 0.2 became 0.3" in found.differs
    assert not any(name.endswith(".nii.gz") for name in found.differs)


def test_a_decision_of_a_bundle_before_is_replayed_from_where_it_was_moved_to(settings: Settings) -> None:
    decide(settings, OTHER)

    assert again(settings, bundle=BUNDLE.digest[:8]).bundle_digest == BUNDLE.digest
    with pytest.raises(TriageError, match=r"The bundle that decided, ffffffffffff, is not here"):
        again(settings)


def test_a_report_that_was_altered_is_no_reference(settings: Settings) -> None:
    path = settings.out / "case-a" / "report.json"
    path.write_text(path.read_text().replace("0.2", "0.3"))

    with pytest.raises(TriageError, match="altered"):
        again(settings)


@pytest.mark.parametrize(
    ("pseudonym", "inventory", "words"),
    [
        ("case-x", INVENTORY, "No decision on case-x"),
        ("../case-a", INVENTORY, "No decision on"),
        ("case-r", INVENTORY, "The case was refused"),
        ("case-a", replace(INVENTORY, cases=(a_case("case-b"),)), "do not lie in the inbox"),
        ("case-a", replace(INVENTORY, cases=(replace(CASE, content_sha256="b" * 64),)), "do not lie in the inbox"),
    ],
)
def test_what_cannot_be_decided_again_is_an_error_that_says_why(
    settings: Settings, pseudonym: str, inventory: Inventory, words: str
) -> None:
    with pytest.raises(TriageError, match=words):
        again(settings, pseudonym, inventory=inventory)


def test_a_replay_leaves_queue_and_folders_as_they_are(settings: Settings) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in settings.out.rglob("*"))
    database = settings.review_file.read_bytes()
    again(settings, engine=Shifted())

    assert sorted((path, path.stat().st_mtime_ns) for path in settings.out.rglob("*")) == before
    assert settings.review_file.read_bytes() == database
