import re
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from triage.dicom.deid import Pseudonyms, load_or_create_key
from triage.errors import TriageError

NAMES = Pseudonyms(key=bytes(range(32)))


def test_a_pseudonym_is_bt_and_ten_base32_characters():
    assert re.fullmatch(r"bt-[a-z2-7]{10}", NAMES.of("patient", "study"))


def test_the_same_parts_and_key_give_the_same_pseudonym():
    assert NAMES.of("a", "b") == Pseudonyms(key=bytes(range(32))).of("a", "b")


def test_another_key_gives_another_pseudonym():
    assert NAMES.of("a") != Pseudonyms(key=bytes(32)).of("a")


def test_where_one_part_ends_matters():
    assert NAMES.of("ab", "c") != NAMES.of("a", "bc")


def test_a_part_that_is_not_valid_unicode_still_has_a_pseudonym():
    assert NAMES.of("\udcff").startswith("bt-")


def test_the_key_is_not_shown_by_repr():
    assert "key" not in repr(NAMES)


def test_a_key_of_another_length_is_no_key():
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(key=b"short")


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    path = tmp_path / "state" / "key"

    first = load_or_create_key(path)

    assert len(first) == 32
    assert load_or_create_key(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["key"]


def test_processes_that_start_at_once_get_the_same_key(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_or_create_key, [tmp_path / "key"] * 32))

    assert len(keys) == 1


def test_a_damaged_key_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "key").write_bytes(b"12345")

    with pytest.raises(TriageError, match="Restore it from a backup"):
        load_or_create_key(tmp_path / "key")
