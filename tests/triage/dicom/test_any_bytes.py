"""Whatever the bytes, reading a file ends in a header, a kind that is left alone, or a refusal."""

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dicom_builders import LIMITS, classic, enhanced, phantom
from triage.dicom.header import Header, NotOurs, parse_header
from triage.errors import Refusal


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("sound")
    return [classic(folder)[0].read_bytes(), enhanced(folder, volume=phantom(shape=(16, 16, 18))).read_bytes()]


def outcome(data: bytes) -> Header | NotOurs | Refusal:
    try:
        return parse_header(io.BytesIO(data), Path("x"), limits=LIMITS)
    except Refusal as refusal:
        return refusal


def spoilt(result: Header | NotOurs | Refusal) -> bool:
    return isinstance(result, Refusal) or (isinstance(result, Header) and result.fault is not None)


@pytest.mark.parametrize("kind", [0, 1], ids=["classic", "enhanced"])
def test_a_file_cut_anywhere_is_never_taken_for_whole(kind, sound):
    data = sound[kind]

    assert all(spoilt(outcome(data[:at])) for at in range(0, len(data) - 1, 7 if kind == 0 else 53))


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from([0, 1]),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
)
def test_changed_bytes_never_raise_anything_but_a_refusal(sound, kind, changes):
    data = bytearray(sound[kind])
    for place, new in changes:
        at = place % min(len(data), 6000)
        data[at : at + len(new)] = new

    assert isinstance(outcome(bytes(data)), Header | NotOurs | Refusal)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=400))
def test_any_body_behind_a_sound_start_never_raises_anything_but_a_refusal(sound, body):
    start = sound[0][: sound[0].index(b"\x08\0\x05\0CS")]

    assert spoilt(outcome(start + body))
