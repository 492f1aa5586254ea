"""Headers to studies, and the series of a study to candidates: volumes that may hold the brain, or why they cannot."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from triage.case import Format, NotChosen, Series, Weighting
from triage.dicom.deid import Pseudonyms
from triage.dicom.files import digest_of
from triage.dicom.geometry import GAP_MM, grid_of
from triage.dicom.header import Header
from triage.dicom.planes import SPLIT_BY, Plane
from triage.dicom.weighting import has_contrast_agent, not_structural, weighting_of
from triage.errors import Code, Refusal

_ONE_PER_SERIES = {
    "rows": "rows",
    "columns": "columns",
    "frame_of_reference": "frame of reference",
    "enhanced": "storage class",
    "inverted": "photometric interpretation",
}
_AGAIN = "Send the study again from the archive."
_ORIGINAL = "Send the original magnitude images of a structural series."


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The files of one study of one patient. conflict: why none of its series may be read, None if there is nothing."""

    patient_id: str
    uid: str
    headers: tuple[Header, ...]
    conflict: Refusal | None

    @property
    def content_sha256(self) -> str:
        return digest_of(*{header.file.sha256 for header in self.headers})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A stack of planes that cannot be the structural series."""

    not_chosen: NotChosen
    refusal: Refusal
    n_files: int


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
    def n_files(self) -> int:
        return len({index for index, _ in self.members})


def studies_of(headers: Iterable[Header]) -> list[Study]:
    """Group by patient and study. A study or series UID under two patients spoils both: one of them is mislabelled."""
    grouped: dict[tuple[str, str], list[Header]] = defaultdict(list)
    patients: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for header in headers:
        key = (header.patient_id, header.study_uid)
        grouped[key].append(header)
        patients[header.study_uid].add((header.patient_id, ""))
        patients[header.series_uid].add(key)
    studies = []
    for (patient_id, uid), members in sorted(grouped.items()):
        spoilt = any(len(patients[key]) > 1 for key in {uid, *(header.series_uid for header in members)})
        conflict = Refusal(
            Code.PATIENT_CONFLICT,
            "One study or series is stored under two patients or studies.",
            do="Correct the patient in the archive, then send both again.",
        )
        studies.append(
            Study(patient_id=patient_id, uid=uid, headers=tuple(members), conflict=conflict if spoilt else None)
        )
    return studies


def candidates_of(study: Study, pseudonyms: Pseudonyms) -> tuple[list[Series], list[Rejected]]:
    """Every volume of the study that may be the structural series, and everything else with its reason."""
    by_series: dict[str, list[Header]] = defaultdict(list)
    for header in study.headers:
        by_series[header.series_uid].append(header)
    contents: dict[str, set[str]] = defaultdict(set)
    for header in study.headers:
        contents[header.sop_uid].add(header.file.sha256)
    candidates: list[Series] = []
    rejected: list[Rejected] = []
    for uid, headers in sorted(by_series.items()):
        name = (study.patient_id, study.uid, uid)
        try:
            stacks = stacks_of(headers, contents)
        except Refusal as refusal:
            weighting = weighting_of(headers[0].acquisition)
            rejected.append(reject(pseudonyms.of(*name), weighting, (), refusal, n_files=len(headers)))
            continue
        for number, stack in enumerate(stacks):
            pseudonym = pseudonyms.of(*name, *([str(number)] if len(stacks) > 1 else []))
            try:
                candidates.append(_series(stack, pseudonym))
            except Refusal as refusal:
                shape = (stack.first.columns, stack.first.rows, len(stack.members))
                weighting = weighting_of(stack.first.acquisition)
                rejected.append(reject(pseudonym, weighting, shape, refusal, n_files=stack.n_files))
    return candidates, rejected


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
    for attribute, wording in _ONE_PER_SERIES.items():
        if len({getattr(header, attribute) for header in unique}) > 1:
            raise Refusal(Code.GEOMETRY, f"The files of the series differ in {wording}.", do=_AGAIN)
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


def _series(stack: Stack, pseudonym: str) -> Series:
    """The series of a stack; a Refusal when it is not structural or lies on no regular grid."""
    first, planes = stack.first, [plane for _, plane in stack.members]
    facts = first.acquisition
    weighting = weighting_of(facts)
    kinds = (not_structural(stack.headers[index].acquisition) for index, _ in stack.members)
    if kind := next(filter(None, kinds), None):
        raise Refusal(Code.NOT_T1_VOLUME, f"The series is {kind}.", do=_ORIGINAL)
    if "temporal position" in stack.split_by:
        raise Refusal(Code.NOT_T1_VOLUME, "The series is one of several time points.", do=_ORIGINAL)
    if stack.split_by and (first.enhanced or weighting is not Weighting.T1):
        raise Refusal(
            Code.NOT_T1_VOLUME,
            f"The series holds several volumes that differ in {' and '.join(stack.split_by)}.",
            do="Send each volume as a series of its own.",
        )
    grid = grid_of(planes, columns=first.columns, rows=first.rows)
    owners = dict.fromkeys(stack.members[index][0] for index in grid.order)
    return Series(
        uid=first.series_uid,
        pseudonym=pseudonym,
        format=Format.ENHANCED if first.enhanced else Format.CLASSIC,
        files=tuple(stack.headers[index].file for index in owners),
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        weighting=weighting,
        contrast_agent=has_contrast_agent(facts),
        acquisition_3d=facts.three_d,
        manufacturer=facts.manufacturer,
        field_strength_t=facts.field_strength_t,
        age_years=facts.age_years,
    )


def reject(pseudonym: str, weighting: Weighting, shape: tuple[int, ...], refusal: Refusal, *, n_files: int) -> Rejected:
    """A series with the reason why it cannot be used."""
    not_chosen = NotChosen(
        pseudonym=pseudonym, weighting=weighting, shape=shape, code=refusal.code, why=refusal.message
    )
    return Rejected(not_chosen=not_chosen, refusal=refusal, n_files=n_files)
