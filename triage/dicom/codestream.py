"""The image size that a compressed frame claims, read from its first marker segments before a codec believes it."""

_JPEG_START, _J2K_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # SOF of JPEG (T.81 B.1) and JPEG-LS (T.87)


def claimed_size(codestream: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None when it has no such marker, as RLE."""
    if codestream.startswith(_JPEG_START):
        return _jpeg_size(codestream)
    at = codestream.find(_J2K_START, 0, 256)  # some writers wrap the codestream in JP2 boxes
    return _j2k_size(codestream, at) if at >= 0 else None


def _jpeg_size(codestream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(codestream) and codestream[at] == 0xFF:
        if codestream[at + 1] in _FRAME_MARKERS:
            return _uint(codestream, at + 5, 2), _uint(codestream, at + 7, 2)
        at += 2 + _uint(codestream, at + 2, 2)
    return None


def _j2k_size(codestream: bytes, at: int) -> tuple[int, int] | None:
    """Reference grid less image offset (T.800 A.5.1)."""
    if at + 24 > len(codestream):
        return None
    right, bottom, left, top = (_uint(codestream, at + 8 + 4 * index, 4) for index in range(4))
    return bottom - top, right - left


def _uint(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")
