"""What to label next: informative, of every structure, unlike what is chosen, of subjects that may train."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipelines.next_cases import KEYS, Candidate, nearer, propose, read_candidates, standardised
from pipelines.retrain_corrections import open_ledger
from pipelines.settings import Settings
from tests.pipelines.corrected_cases import a_correction, decide, read
from triage.errors import TriageError
from triage.ledger import Split

ENOUGH = 200


def candidate(name: str, *, nats: float = 0.01, at: float = 0.0, read: bool = False, **of: float) -> Candidate:
    information = dict.fromkeys(KEYS, nats) | of
    return Candidate(pseudonym=name, information=information, features=np.array([at, -at]), read=read)


def first_choices(candidates: list[Candidate]) -> list[str]:
    return [propose(candidates, 1, seed=seed)[0].pseudonym for seed in range(ENOUGH)]


def test_a_case_is_chosen_first_as_often_as_its_share_of_the_information() -> None:
    found = first_choices([candidate("much", nats=0.03), candidate("little", nats=0.01)])

    # Gumbel noise on log I makes the choice a draw in proportion to I: 3 in 4, here within 4 binomial SDs.
    assert abs(found.count("much") / ENOUGH - 0.75) < 4 * np.sqrt(0.75 * 0.25 / ENOUGH)


def test_every_choice_serves_the_next_structure() -> None:
    cases = [candidate(f"case {k}", nats=1e-9, **{key: 1.0}) for k, key in enumerate(KEYS)]

    found = propose(cases, len(KEYS))

    assert [p.structure for p in found] == list(KEYS)
    assert [p.pseudonym for p in found] == [f"case {k}" for k in range(len(KEYS))]


def test_a_copy_of_what_was_corrected_is_not_asked_for() -> None:
    cases = [candidate("read", at=1.0, read=True), candidate("copy", at=1.0, nats=10.0), candidate("other", at=-1.0)]

    found = [propose(cases, 2, seed=seed) for seed in range(20)]

    assert {tuple(p.pseudonym for p in one) for one in found} == {("other", "copy")}


def test_what_was_read_is_never_proposed_and_the_same_seed_proposes_the_same() -> None:
    cases = [candidate(f"case {k}", at=float(k), read=k % 2 == 0) for k in range(8)]

    first, second = (propose(cases, 10, seed=3) for _ in range(2))

    assert first == second
    assert sorted(p.pseudonym for p in first) == ["case 1", "case 3", "case 5", "case 7"]


def test_the_distance_is_to_the_nearest_centre_whatever_the_unit_of_a_feature() -> None:
    features = np.random.default_rng(0).normal(size=(6, 3)) * [1, 100, 1e-3]

    distance = nearer(nearer(np.full(6, np.inf), standardised(features), 0), standardised(features), 4)

    z = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = [min(np.sqrt(((row - z[k]) ** 2).mean()) for k in (0, 4)) for row in z]
    np.testing.assert_allclose(distance, expected)


def write_report(out: Path, name: str, subject: str, *, refused: bool = False) -> None:
    told = {"pooled_features": [0.5, None], "mutual_information": {"lesion": 0.25}}
    (out / name).mkdir(parents=True)
    report = {"case": {"pseudonym": name, "subject": subject}, "uncertainty": None if refused else told}
    (out / name / "report.json").write_text(json.dumps(report))


def test_only_read_cases_of_subjects_that_may_train_are_candidates(tmp_path: Path) -> None:
    settings = Settings(out=tmp_path / "out", state=tmp_path / "state")
    for name in ("train", "test"):
        write_report(settings.out, name, name)
    write_report(settings.out, "nobody", "")
    write_report(settings.out, "refused", "train", refused=True)
    open_ledger(settings).freeze(["train"], Split.TRAIN)
    open_ledger(settings).freeze(["test"], Split.TEST)

    found = read_candidates(settings)

    assert [c.pseudonym for c in found] == ["train"]
    assert found[0].information == {"lesion": 0.25}


def test_of_subjects_that_nobody_has_settled_those_are_proposed_whose_corrections_will_teach(tmp_path: Path) -> None:
    settings = Settings(out=tmp_path / "out", state=tmp_path / "state")
    names = [f"new-{number:02}" for number in range(30)]
    for name in names:
        write_report(settings.out, name, name)

    found = {candidate.pseudonym for candidate in read_candidates(settings)}

    assert {name: open_ledger(settings).split_of(name) is Split.TRAIN for name in names} == {
        name: name in found for name in names
    }


def test_of_whom_one_scan_was_read_blind_no_other_is_proposed(tmp_path: Path) -> None:
    settings = Settings(out=tmp_path / "out", state=tmp_path / "state")
    write_report(settings.out, "taught", "somebody")
    open_ledger(settings).freeze(["somebody"], Split.TRAIN)
    for number in range(6):
        blind = a_correction(number)
        decide(settings, blind, blind=True)
        read(settings, blind)
        write_report(settings.out, f"other-{number}", blind.subject)

    assert [candidate.pseudonym for candidate in read_candidates(settings)] == ["taught"]


def test_without_a_candidate_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(TriageError, match=r"No case in .* is left that could be labelled"):
        read_candidates(Settings(out=tmp_path / "out", state=tmp_path / "state"))
