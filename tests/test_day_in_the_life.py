"""A day in the life: twelve scans arrive, three of them hard, and in the evening the model has learnt from two.

Everything goes through the commands and the review pages as people use them; only the heads are little ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from models.parallel import one_thread_an_operation
from pipelines.bundles import identify, open_history
from pipelines.retrain_corrections import open_ledger
from pipelines.review import review_site
from pipelines.run import find_cases
from pipelines.tracking_registry import ALIAS, DIGEST, MODEL, open_registry
from pipelines.tracking_store import connect
from tests.hospital import Hospital, open_hospital, set_limits
from tests.little_heads import LittleHead, write_table
from tests.triage.web.readers import the_owner
from triage.ledger import Split
from triage.verdict import Route

RIGHT, LEFT = (9.0, -3.0, 4.0), (-9.0, -3.0, 4.0)
HARD: Mapping[str, LittleHead] = {
    "patient-03": LittleHead(seed=3, lesion=RIGHT),
    "patient-07": LittleHead(seed=7, lesion=LEFT),
    "patient-10": LittleHead(seed=10, noise=0.15),
}
"""Two have a lesion, which the model does not expect; one moved so much that nobody can read it."""
PATIENTS: Mapping[str, LittleHead] = {f"patient-{k:02}": LittleHead(seed=k) for k in range(12)} | HARD
TUNE = [("tune", LittleHead(seed=100 + k, noise=noise)) for k, noise in enumerate((0.008, 0.009, 0.0095, 0.010))]
TEST = [("test", LittleHead(seed=200 + k, lesion=(None, RIGHT, LEFT)[k % 3])) for k in range(10)]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """In heads this small, threads mostly wait for each other."""
    with one_thread_an_operation():
        yield


@pytest.fixture
def hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Hospital:
    """Twelve patients lie in its inbox."""
    cases = write_table(tmp_path / "cases", [*TUNE, *TEST])
    return open_hospital(tmp_path, PATIENTS, cases, monkeypatch, tracked=True)


def live_in_mlflow(hospital: Hospital) -> str:
    """Digest of the bundle that the alias names."""
    registry = open_registry(hospital.settings)
    assert registry is not None
    return str(connect(registry.store).get_model_version_by_alias(MODEL, ALIAS).tags[DIGEST])


def read_the_queue(hospital: Hospital, correct: Sequence[str], reject: str) -> None:
    """The owner signs in by the one-time link, and reads every flagged case."""
    with review_site(hospital.settings, secure=False, double=False) as site, the_owner(site) as reader:
        for patient in correct:
            reader.correct(hospital.pseudonyms[patient], hospital.truth(patient).to_bytes(), "missed_lesion")
        reader.reject(hospital.pseudonyms[reject], "failed")


def let_train(hospital: Hospital, patients: Sequence[str]) -> None:
    """Where the ledger would let chance decide, these subjects train."""
    of = {case.pseudonym: case.subject for case in find_cases(hospital.inbox, hospital.settings).cases}
    open_ledger(hospital.settings).freeze([of[hospital.pseudonyms[patient]] for patient in patients], Split.TRAIN)


@pytest.mark.slow
def test_what_two_corrections_teach_in_a_day(
    hospital: Hospital, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lesions, unreadable = ["patient-03", "patient-07"], "patient-10"
    cases, second = hospital.folder / "cases" / "cases.csv", hospital.folder / "second"

    assert hospital.command("run", hospital.inbox) == 0
    assert hospital.flagged() == {*lesions, unreadable}
    before = {patient: hospital.right(patient) for patient in PATIENTS}

    read_the_queue(hospital, lesions, unreadable)
    assert hospital.flagged() == set()

    let_train(hospital, lesions)
    assert hospital.command("retrain", "--to", second) == 0
    set_limits(second, cases, monkeypatch)
    assert hospital.command("promote", second) == 1  # it was not compared
    assert hospital.command("challenge", second, "--cases", cases, "--cache", hospital.folder / "cache") == 0
    assert "| all | Dice | 10 |" in capsys.readouterr().out
    assert hospital.command("promote", second) == 0

    assert hospital.command("run", hospital.inbox) == 0
    assert hospital.flagged() == {unreadable}
    now = {patient: hospital.right(patient) for patient in PATIENTS}
    assert all(now[patient] > before[patient] for patient in lesions)
    assert all(now[patient] > before[patient] - 0.001 for patient in PATIENTS if patient != unreadable)

    with open_history(hospital.settings) as history:
        first, last = history.lives()[-2:]
        decided = {life.bundle.digest: history.decided_by(life.bundle.digest) for life in (first, last)}
    assert last.bundle.version == "1.1.0"
    assert identify(hospital.settings.state_folder / "bundles" / last.bundle.digest) == last.bundle
    for life in (first, last):
        assert {case.pseudonym for case in decided[life.bundle.digest]} == set(hospital.pseudonyms.values())
        assert all(case.decision.bundle == life.bundle for case in decided[life.bundle.digest])
    old = decided[first.bundle.digest]
    assert [case.decision.route for case in old].count(Route.HUMAN_REVIEW) == len(HARD)
    assert not any(case.decision.current for case in old)
    assert live_in_mlflow(hospital) == last.bundle.digest

    assert hospital.command("rollback") == 0
    assert live_in_mlflow(hospital) == first.bundle.digest
    assert hospital.command("audit", "verify") == 0
