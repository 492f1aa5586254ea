import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triage.errors import TriageError
from triage.ledger import SHARES, Ledger, Split

KEY = bytes(range(32))


def ledger(folder: Path, key: bytes = KEY) -> Ledger:
    return Ledger(file=folder / "splits.jsonl", key=key)


PEOPLE = st.sampled_from([f"subject {n}" for n in range(6)])
WAYS_TO_WRITE = st.sampled_from([str, str.upper, str.title, lambda name: f" {name}\t"])
STEPS = st.lists(st.tuples(PEOPLE, WAYS_TO_WRITE, st.sampled_from([None, *Split])), max_size=25)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_no_subject_ever_crosses_whatever_the_order_the_spelling_and_the_list(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("ledger")
    seen: dict[str, Split] = {}
    for person, written, wanted in steps:
        own = ledger(folder)  # each time as by a new process
        if wanted is None:
            split = own.split_of(written(person))
        elif seen.get(person, wanted) is wanted:
            own.freeze([written(person)], wanted)
            split = wanted
        else:
            with pytest.raises(TriageError, match="for ever"):
                own.freeze([written(person), "somebody new"], wanted)
            assert own.find("somebody new") is None
            continue

        assert seen.setdefault(person, split) is split

    assert all(ledger(folder).find(person) is split for person, split in seen.items())


def test_the_allotment_does_not_depend_on_who_came_before(tmp_path):
    names = [f"s{n}" for n in range(40)]
    forward = {name: ledger(tmp_path / "a").split_of(name) for name in names}

    assert {name: ledger(tmp_path / "b").split_of(name) for name in reversed(names)} == forward


def test_new_subjects_are_shared_out_as_stated(tmp_path):
    own = ledger(tmp_path)
    n = 200
    drawn = [own.split_of(f"s{k}", {Split.TRAIN: 3, Split.TEST: 1}) for k in range(n)]

    assert abs(drawn.count(Split.TRAIN) - 0.75 * n) < 4 * (n * 0.75 * 0.25) ** 0.5
    assert set(drawn) == {Split.TRAIN, Split.TEST}
    assert sum(SHARES.values()) == pytest.approx(1)


def test_a_change_of_the_shares_moves_nobody(tmp_path):
    before = ledger(tmp_path).split_of("one", {Split.TRAIN: 1})

    assert ledger(tmp_path).split_of("one", {Split.TEST: 1}) is before is Split.TRAIN


def test_the_ledger_names_nobody(tmp_path):
    ledger(tmp_path).freeze(["Jane Doe"], Split.TEST)

    text = (tmp_path / "splits.jsonl").read_text()
    assert "jane" not in text.lower()
    assert set(json.loads(text)) == {"subject", "split", "link"}


def test_another_key_is_refused_since_it_would_let_subjects_cross(tmp_path):
    ledger(tmp_path).split_of("one")

    with pytest.raises(TriageError, match="another key"):
        ledger(tmp_path, bytes(32)).split_of("one")


@pytest.mark.parametrize("lines", [[1, 0, 2], [0, 2], [1, 2], [0, 0, 1, 2]])
def test_a_ledger_whose_lines_were_moved_removed_or_repeated_is_refused(tmp_path, lines):
    own = ledger(tmp_path)
    own.freeze(["a", "b", "c"], Split.TUNE)
    written = own.file.read_text().splitlines(keepends=True)
    own.file.write_text("".join(written[n] for n in lines))

    with pytest.raises(TriageError, match="was changed"):
        own.find("a")


@pytest.mark.parametrize("change", [lambda t: t.replace("tune", "test"), lambda t: t[:-1], lambda t: t + "null\n"])
def test_a_ledger_that_was_edited_or_cut_is_refused(tmp_path, change):
    own = ledger(tmp_path)
    own.freeze(["a"], Split.TUNE)
    own.file.write_text(change(own.file.read_text()))

    with pytest.raises(TriageError, match="Restore"):
        own.split_of("b")


def test_a_case_without_a_subject_is_in_no_split(tmp_path):
    with pytest.raises(TriageError, match="Give every case its subject"):
        ledger(tmp_path).split_of("  ")


def test_subjects_settled_at_once_by_many_are_all_kept(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        first = list(threads.map(lambda n: ledger(tmp_path).split_of(f"s{n % 20}"), range(80)))

    assert first == [ledger(tmp_path).find(f"s{n % 20}") for n in range(80)]


def known_by_two_names(folder: Path) -> Ledger:
    return Ledger(file=folder / "splits.jsonl", key=KEY, alias=lambda name: f"alias of {name}")


def test_whoever_is_settled_by_one_name_is_settled_by_the_other(tmp_path):
    names = [f"s{n}" for n in range(20)]
    known_by_two_names(tmp_path / "a").freeze(names, Split.TEST)
    allotted = {name: known_by_two_names(tmp_path / "b").split_of(f"alias of {name}") for name in names}

    assert {known_by_two_names(tmp_path / "a").split_of(f"alias of {name}") for name in names} == {Split.TEST}
    assert {name: known_by_two_names(tmp_path / "b").split_of(name) for name in names} == allotted


def test_who_trained_by_one_name_cannot_test_by_the_other(tmp_path):
    known_by_two_names(tmp_path).freeze(["alias of jane"], Split.TRAIN)

    with pytest.raises(TriageError, match=r"1 of 1 subjects given as test .*: train"):
        known_by_two_names(tmp_path).freeze(["Jane"], Split.TEST)


def test_a_ledger_from_before_there_was_a_second_name_learns_it_at_the_next_freeze(tmp_path):
    ledger(tmp_path).freeze(["jane"], Split.TEST)

    known_by_two_names(tmp_path).freeze(["jane"], Split.TEST)

    assert known_by_two_names(tmp_path).find("alias of jane") is Split.TEST


def test_what_is_foreseen_is_what_is_allotted_and_nothing_is_written(tmp_path):
    own = ledger(tmp_path)

    foreseen = {name: own.foresee(name) for name in ("a", "b", "c", "d")}

    assert not own.file.exists()
    assert {name: own.split_of(name) for name in foreseen} == foreseen
