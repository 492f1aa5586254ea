"""Where the elements of a DICOM file lie, found without decoding any (PS3.5 chapter 7).

This walk runs before a parser sees the bytes. It is a loop, not a recursion, takes no memory that a length field asks
for, and stops at the first limit: a hostile header costs milliseconds. What it accepts, pydicom parses in bounded time.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.datadict import DicomDictionary

from triage.dicom.file_meta import Meta, invalid, truncated, value_of
from triage.dicom.limits import ReadLimits
from triage.errors import Code, Refusal

UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE
_FIRST_OVERLAY, _LAST_OVERLAY = 0x60000000, 0x60FFFFFF
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_ITEM_TAG = struct.pack("<HH", 0xFFFE, 0xE000)
_SEQUENCE_END_TAG = struct.pack("<HH", 0xFFFE, 0xE0DD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """header: bytes from the file's start to the pixels.

    native_at, native_bytes: offset and length of the pixels, None if encapsulated.
    fragments: number of encapsulated fragments, None if native. fault: what is wrong with the pixels' extent.
    """

    header: bytes
    native_at: int | None
    native_bytes: int | None
    fragments: int | None
    fault: Refusal | None


def lay_out(file: BinaryIO, meta: Meta, *, size: int, implicit: bool, elements: int, limits: ReadLimits) -> Layout:
    """Walk the elements of the data set to the pixels, then measure the pixels. elements: how many there may be."""
    file.seek(0)
    head = file.read(min(size, limits.header_bytes))
    pixels_at = _walk(head, meta.start, size, implicit=implicit, elements=elements, limits=limits)
    if pixels_at is None:
        return Layout(header=head, native_at=None, native_bytes=None, fragments=None, fault=truncated())
    length, value_at = value_of(head, pixels_at, implicit=implicit)
    header = head[:pixels_at]
    if length != UNDEFINED:
        fault = truncated() if value_at + length > size else None
        return Layout(header=header, native_at=value_at, native_bytes=length, fragments=None, fault=fault)
    try:
        fragments, encapsulation_fault = _fragments(file, value_at, size), None
    except Refusal as refusal:
        fragments, encapsulation_fault = 0, refusal
    return Layout(header=header, native_at=None, native_bytes=None, fragments=fragments, fault=encapsulation_fault)


@dataclass(slots=True)
class _Open:
    """A sequence or item that has not ended. end: offset of its end, None when a delimiter will end it."""

    end: int | None
    implicit: bool


def _walk(head: bytes, at: int, size: int, *, implicit: bool, elements: int, limits: ReadLimits) -> int | None:
    """Offset of the Pixel Data element, None if the file ends without one."""
    stack: list[_Open] = []
    count, previous = 0, -1
    while at < size:
        while stack and stack[-1].end is not None and at >= stack[-1].end:
            stack.pop()
        if at + 12 > len(head) and at + 8 != len(head):
            raise _beyond(size, len(head))
        group, element = struct.unpack_from("<HH", head, at)
        tag = group << 16 | element
        if tag in _PIXELS and not stack:
            return at
        count += 1
        if count > elements:
            raise _limit(f"The header has more than {elements} elements.")
        if len(stack) > 2 * limits.depth:  # a sequence and its item each open one
            raise _limit(f"The sequences are nested more than {limits.depth} deep.")
        if group == _DELIMITERS:
            at = _step_item(head, at, tag, stack)
            continue
        if not stack:
            if tag <= previous:
                raise invalid("The elements of the header are out of order.")
            previous = tag
        at = _step_element(head, at, tag, size, stack, implicit=implicit, limits=limits)
    if any(level.end is None for level in stack):
        raise truncated()
    return None


def _step_item(head: bytes, at: int, tag: int, stack: list[_Open]) -> int:
    """Enter or leave an item or sequence; the offset of what follows."""
    length = int.from_bytes(head[at + 4 : at + 8], "little")
    if tag == _ITEM and stack:
        stack.append(_Open(None if length == UNDEFINED else at + 8 + length, stack[-1].implicit))
    elif tag in (_ITEM_END, _SEQUENCE_END) and stack and stack[-1].end is None and length == 0:
        stack.pop()
    else:
        raise invalid("An item of a sequence stands where none may be.")
    return at + 8


def _step_element(
    head: bytes, at: int, tag: int, size: int, stack: list[_Open], *, implicit: bool, limits: ReadLimits
) -> int:
    """Enter a sequence or step over a value; the offset of what follows."""
    implicit = stack[-1].implicit if stack else implicit
    length, value_at = value_of(head, at, implicit=implicit)
    if length != UNDEFINED and value_at + length > size:
        raise truncated()
    if _is_sequence(head, at, tag, length, implicit=implicit):
        unknown = not implicit and head[at + 4 : at + 6] == b"UN"  # its items are implicit VR (PS3.5 6.2.2 note 2)
        stack.append(_Open(None if length == UNDEFINED else value_at + length, implicit or unknown))
        return value_at
    if length > limits.value_bytes and not _FIRST_OVERLAY <= tag <= _LAST_OVERLAY:
        raise _limit(f"One value of the header takes over {limits.value_bytes >> 10} KiB.")
    return value_at + length


def _is_sequence(head: bytes, at: int, tag: int, length: int, *, implicit: bool) -> bool:
    if length == UNDEFINED:
        return True
    if implicit:
        return bool(DicomDictionary.get(tag, ("",))[0] == "SQ")
    return head[at + 4 : at + 6] == b"SQ"


def _fragments(file: BinaryIO, at: int, size: int) -> int:
    """Number of fragments after the Basic Offset Table (PS3.5 A.4); each lies in the file, the end is marked."""
    items = 0
    while at + 8 <= size:
        file.seek(at)
        raw = file.read(8)
        length = int.from_bytes(raw[4:8], "little")
        if raw[:4] == _SEQUENCE_END_TAG:
            return max(items - 1, 0)
        if raw[:4] != _ITEM_TAG:
            raise invalid("The compressed pixels are not a list of fragments.")
        items += 1
        at += 8 + length
    raise truncated()


def _beyond(size: int, read: int) -> Refusal:
    return truncated() if read >= size else _limit(f"The header takes more than {read >> 20} MiB.")


def _limit(message: str) -> Refusal:
    return Refusal(Code.HEADER_LIMIT, message, do="Ask the sender for the original series.")
