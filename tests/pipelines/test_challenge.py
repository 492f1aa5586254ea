"""Challenger and live model on the same cases: the last ones that were decided, in shadow, and the frozen test set."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pipelines import bundles
from pipelines.bundles import open_history
from pipelines.challenge import Contender, challenge, decided_cases, shadow_folders
from pipelines.comparison import Comparison, as_markdown, read_comparison
from pipelines.paired import ALL, Standing
from pipelines.promote import comparison_file
from pipelines.retrain_corrections import CORRECTIONS, open_ledger
from pipelines.scans import Scan
from pipelines.settings import Settings
from tests.fakes import FakeEngine, FakeGate, tiny_report
from tests.pipelines.promotions import a_bundle
from tests.triage.review.desks import REJECT, Room
from tests.verdicts import BUNDLE
from triage.case import Case, Weighting
from triage.errors import TriageError
from triage.ledger import Split
from triage.prediction import Prediction
from triage.report.as_json import as_json
from triage.report.as_nifti import IMAGE, as_nifti
from triage.review import connect, open_queue
from triage.review.records import Filters
from triage.verdict import BundleId, Report, Verdict

CHALLENGER = BundleId(name="challenger", version="2", digest="c" * 64)


@dataclass
class WatchingGate(FakeGate):
    """Remembers the cases that it was asked about."""

    cases: tuple[Case, ...] = ()

    def decide(self, case: Case, prediction: Prediction) -> Verdict:
        self.cases = (*self.cases, case)
        return super().decide(case, prediction)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(bundles, "SHIPPED_BUNDLE", a_bundle(tmp_path / "shipped", "shipped"))
    return Settings(out=tmp_path / "out", state=tmp_path / "state")


@pytest.fixture
def challenger(tmp_path: Path) -> Path:
    return a_bundle(tmp_path / "challenger", "challenger")


def decided(settings: Settings, reports: Sequence[Report]) -> None:
    """What a run leaves: a folder and a decision each, in this order."""
    settings.state_folder.mkdir(exist_ok=True)
    queue = open_queue(settings.review_database)
    for report in reports:
        folder = settings.out / report.case.pseudonym
        folder.mkdir(parents=True)
        as_json(report, folder)
        as_nifti(report, folder)
        queue.settle(report)
    queue.close()


def compare(
    settings: Settings, challenger: Path, *, recent: int = 30, gate: FakeGate | None = None, doubt: float = 0.2
) -> tuple[Comparison, FakeEngine]:
    """The challenger sees every case with this doubt."""
    engine = FakeEngine(bundle=CHALLENGER, doubt=doubt)

    def contender(folder: Path, _: Settings) -> Contender:
        own = engine if folder == challenger else FakeEngine()
        return Contender(folder=folder, engine=cast(Any, own), gate=gate or FakeGate())

    cache = settings.state_folder / "cache"
    return challenge(challenger, settings, [], recent=recent, cache=cache, contender=contender), engine


def reports(n: int, **changes: Any) -> list[Report]:
    """Flagged and accepted in turns."""
    return [tiny_report(f"case-{k}", content=f"{k:x}" * 64, doubt=(0.2, 1.5)[k % 2], **changes) for k in range(n)]


def test_cases_that_changed_sides_are_named(settings: Settings, challenger: Path) -> None:
    decided(settings, reports(4))

    found, _ = compare(settings, challenger, doubt=0.2)

    changed = {one.pseudonym: (one.live_accepts, one.challenger_accepts) for one in found.shadow}
    assert changed == {"case-0": (True, True), "case-1": (False, True), "case-2": (True, True), "case-3": (False, True)}
    assert {one.agreement for one in found.shadow} == {1.0}  # the fake engine always sees the same
    (coverage,) = (one for one in found.differences if one.group == ALL)
    assert (coverage.live, coverage.challenger, coverage.subjects) == (0.5, 1.0, 4)


def test_shadow_cases_alone_show_nothing_of_dice_so_nobody_can_tell(settings: Settings, challenger: Path) -> None:
    decided(settings, reports(12))

    found, _ = compare(settings, challenger)

    assert found.standing is Standing.CANNOT_TELL


def test_the_comparison_is_kept_where_a_promotion_asks_for_it(settings: Settings, challenger: Path) -> None:
    decided(settings, reports(2))

    found, _ = compare(settings, challenger)

    assert read_comparison(comparison_file(settings, bundles.SHIPPED_BUNDLE, challenger)) == found


def test_the_last_cases_come_first_and_those_without_an_image_or_of_another_model_are_left_out(
    settings: Settings,
) -> None:
    other = tiny_report("case-other", bundle=CHALLENGER, content="e" * 64)
    decided(settings, [*reports(4), other])
    (settings.out / "case-2" / IMAGE).unlink()

    with open_history(settings) as history:
        decided_by_live = decided_cases(history, BUNDLE)
    folders = shadow_folders(decided_by_live, BUNDLE, settings.out, 2)

    assert decided_by_live == ["case-3", "case-2", "case-1", "case-0"]
    assert [folder.name for folder in folders] == ["case-3", "case-1"]


def test_before_the_first_decision_there_is_no_shadow(settings: Settings, challenger: Path) -> None:
    found, engine = compare(settings, challenger)

    assert (found.shadow, engine.seeds) == ((), [])


def test_the_challenger_sees_what_the_live_model_saw_and_the_gate_what_is_known_of_the_case(
    settings: Settings, challenger: Path
) -> None:
    report = tiny_report("case-0", content="a" * 64)
    assert isinstance(report.case, Case)
    series = replace(report.case.structural, weighting=Weighting.T2, contrast_agent=True, age_years=40.0)
    decided(settings, [replace(report, case=replace(report.case, structural=series, subject="bs-1"))])
    gate = WatchingGate()

    compare(settings, challenger, gate=gate)

    (case,) = gate.cases
    seen = case.structural
    assert (seen.weighting, seen.contrast_agent, seen.age_years) == (Weighting.T2, True, 40.0)
    assert report.volume is not None
    assert seen.shape == report.volume.array.shape


def test_to_accept_what_a_reader_rejected_is_no_gain(settings: Settings, challenger: Path) -> None:
    decided(settings, reports(2))
    room = Room(connect(settings.review_database), settings.state_folder / CORRECTIONS)
    olga = room.people["olga"]
    (waiting,) = room.desk.page(Filters(), account=olga).rows
    room.desk.claim(waiting.item_id, account=olga)
    room.desk.decide(waiting.item_id, REJECT, account=olga)

    found, _ = compare(settings, challenger)

    assert [one.pseudonym for one in found.shadow if one.rejected and one.challenger_accepts] == [waiting.pseudonym]
    assert {one.subjects for one in found.differences if one.measure == "coverage"} == {1}


def test_who_trained_cannot_test(settings: Settings, challenger: Path, tmp_path: Path) -> None:
    open_ledger(settings).freeze(["somebody"], Split.TRAIN)
    scan = Scan(name="a", split="test", finding="", t1=tmp_path, labels=None, manual=True, subject="somebody")

    with pytest.raises(TriageError, match="in another split for ever"):
        challenge(challenger, settings, [scan], recent=0, cache=tmp_path)


@pytest.mark.parametrize("recent", [0, 30])
def test_who_is_not_tried_in_shadow_though_there_were_cases_gets_no_leave(
    settings: Settings, challenger: Path, recent: int
) -> None:
    decided(settings, reports(4))

    found, _ = compare(settings, challenger, recent=recent)

    assert any("in shadow on none of the 4 cases" in objection for objection in found.objections) is (recent == 0)


def test_a_case_that_the_challenger_was_trained_on_is_shown_and_left_out_of_the_verdict(
    settings: Settings, tmp_path: Path
) -> None:
    made = reports(4)
    decided(settings, made)
    learnt = [f"{report.case.content_sha256[:16]}-{'c' * 16}" for report in made[1:2]]
    challenger = a_bundle(tmp_path / "challenger", "challenger", learnt=learnt)

    found, _ = compare(settings, challenger)

    assert [one.pseudonym for one in found.shadow if one.trained_on] == [made[1].case.pseudonym]
    assert {one.subjects for one in found.differences if one.group == ALL} == {3}
    assert f"- trained on, so left out of all but the last line: 1 {made[1].case.pseudonym}\n" in as_markdown(found)
