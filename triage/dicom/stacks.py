"""The files of one series to stacks: sets of planes with one plane at each position, each of which may be a volume."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from triage.dicom.geometry import GAP_MM
from triage.dicom.header import Header
from triage.dicom.planes import SPLIT_BY, Plane
from triage.errors import Code, Refusal

_AGAIN = "Send the study again from the archive."
_ONE_PER_SERIES: Mapping[str, Callable[[Header], object]] = {
    "rows and columns": lambda header: header.pixels and (header.pixels.rows, header.pixels.columns),
    "photometric interpretation": lambda header: header.pixels and header.pixels.inverted,
    "frame of reference": lambda header: header.frame_of_reference,
    "storage class": lambda header: header.enhanced,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Planes of one series that may form one volume. members: (index into headers, plane)."""

    headers: tuple[Header, ...]
    members: tuple[tuple[int, Plane], ...]
    split_by: tuple[str, ...] = ()

    @property
    def first(self) -> Header:
        return self.headers[self.members[0][0]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows and planes."""
        pixels = self.first.pixels
        assert pixels is not None  # stacks are made of sound files
        return pixels.columns, pixels.rows, len(self.members)

    @property
    def n_files(self) -> int:
        return len({index for index, _ in self.members})


def stacks_of(headers: Sequence[Header], contents: dict[str, set[str]] | None = None) -> list[Stack]:
    """The planes of one series, once each, split where the header tells two planes at one position apart.

    contents: SHA-256 of all files of the study by SOP Instance UID; without it, of these files.
    """
    if contents is None:
        contents = {header.sop_uid: {header.file.sha256} for header in headers}
    unique = list({(header.sop_uid, header.file.sha256): header for header in headers}.values())
    if any(len(contents[header.sop_uid]) > 1 for header in unique):
        raise Refusal(Code.UID_CONFLICT, "Two different files carry one SOP Instance UID.", do=_AGAIN)
    for header in unique:
        if header.fault:
            raise header.fault
    for words, fact in _ONE_PER_SERIES.items():
        if len({fact(header) for header in unique}) > 1:
            raise Refusal(Code.GEOMETRY, f"The files of the series differ in {words}.", do=_AGAIN)
    unique.sort(key=lambda header: header.sop_uid)
    members = tuple((index, plane) for index, header in enumerate(unique) for plane in header.planes)
    whole = Stack(headers=tuple(unique), members=members)
    return _split(whole)


def _split(stack: Stack) -> list[Stack]:
    """Split by the fewest attributes that leave one plane per position; DUPLICATE_POSITION when none do."""
    if _distinct(stack.members):
        return [stack]
    for size in range(1, len(SPLIT_BY) + 1):
        for chosen in combinations(range(len(SPLIT_BY)), size):
            parts: dict[tuple[str, ...], list[tuple[int, Plane]]] = defaultdict(list)
            for member in stack.members:
                parts[tuple(member[1].split[index] for index in chosen)].append(member)
            if len(parts) > 1 and all(_distinct(part) for part in parts.values()):
                names = tuple(SPLIT_BY[index] for index in chosen)
                return [replace(stack, members=tuple(part), split_by=names) for _, part in sorted(parts.items())]
    raise Refusal(
        Code.DUPLICATE_POSITION,
        "Two slices lie at one position, and nothing in the header tells them apart.",
        do="Send each acquisition as a series of its own.",
    )


def _distinct(members: Sequence[tuple[int, Plane]]) -> bool:
    """No two parallel planes lie at one position, to the tolerance of the grid."""
    places = sorted((plane.direction, plane.along_normal_mm) for _, plane in members)
    return all(a[0] != b[0] or b[1] - a[1] >= GAP_MM for a, b in pairwise(places))
