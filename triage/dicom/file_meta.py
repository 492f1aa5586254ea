"""File meta information, and how an element states the length of its value (PS3.10 chapter 7, PS3.5 chapter 7)."""

import struct
from dataclasses import dataclass

from triage.errors import Code, Refusal

_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_TRANSFER_SYNTAX, _SOP_CLASS = 0x0010, 0x0002


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """File meta information (PS3.10 7.1). start: offset of the first element of the data set."""

    transfer_syntax: str
    sop_class: str
    start: int


def read_meta(head: bytes) -> Meta:
    """The file meta information of a file that starts with `head`, which has the prefix DICM."""
    values = {_TRANSFER_SYNTAX: b"", _SOP_CLASS: b""}
    at = 132
    while at + 12 <= len(head) and head[at : at + 2] == b"\x02\0":
        tag = struct.unpack_from("<H", head, at + 2)[0]
        length, value_at = value_of(head, at, implicit=False)
        if value_at + length > len(head):
            raise truncated()
        if tag in values:
            values[tag] = head[value_at : value_at + length]
        at = value_at + length
    if not values[_TRANSFER_SYNTAX]:
        raise truncated() if at + 12 > len(head) else invalid("The file names no transfer syntax.")
    syntax, sop_class = (
        values[tag].rstrip(b"\0 ").decode("ascii", "replace") for tag in (_TRANSFER_SYNTAX, _SOP_CLASS)
    )
    return Meta(transfer_syntax=syntax, sop_class=sop_class, start=at)


def value_of(head: bytes, at: int, *, implicit: bool) -> tuple[int, int]:
    """Value length, and offset of the value, of the element at `at`."""
    if implicit:
        return int.from_bytes(head[at + 4 : at + 8], "little"), at + 8
    vr = head[at + 4 : at + 6]
    if vr in _LONG_VRS:
        return int.from_bytes(head[at + 8 : at + 12], "little"), at + 12
    if not vr.isalpha() or not vr.isupper():
        raise invalid("An element has no value representation.")
    return int.from_bytes(head[at + 6 : at + 8], "little"), at + 8


def truncated() -> Refusal:
    """The refusal of a file that stops early."""
    return Refusal(
        Code.TRUNCATED, "A DICOM file ends before its data does.", do="Send the series again; wait until the copy ends."
    )


def invalid(message: str) -> Refusal:
    """The refusal of a header that breaks a rule."""
    return Refusal(Code.HEADER_INVALID, message, do="Ask the sender for the original series.")
