"""Headers to studies, and the series of a study to candidates: volumes that may hold the brain, or why they cannot."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from triage.case import Format, NotChosen, Series, Weighting
from triage.dicom.deid import Pseudonyms
from triage.dicom.files import digest_of
from triage.dicom.geometry import grid_of
from triage.dicom.header import Header
from triage.dicom.stacks import Stack, stacks_of
from triage.dicom.weighting import has_contrast_agent, not_structural, weighting_of
from triage.errors import Code, Refusal

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


def studies_of(headers: Iterable[Header]) -> list[Study]:
    """Group by patient and study. A study or series UID under two patients spoils both: one of them is mislabelled."""
    grouped: dict[tuple[str, str], list[Header]] = defaultdict(list)
    patients: dict[str, set[str]] = defaultdict(set)
    owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for header in headers:
        key = (header.patient_id, header.study_uid)
        grouped[key].append(header)
        patients[header.study_uid].add(header.patient_id)
        owners[header.series_uid].add(key)
    studies = []
    for (patient_id, uid), members in sorted(grouped.items()):
        spoilt = len(patients[uid]) > 1 or any(len(owners[header.series_uid]) > 1 for header in members)
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
                weighting = weighting_of(stack.first.acquisition)
                rejected.append(reject(pseudonym, weighting, stack.shape, refusal, n_files=stack.n_files))
    return candidates, rejected


def _series(stack: Stack, pseudonym: str) -> Series:
    """The series of a stack; a Refusal when it is not structural or lies on no regular grid."""
    first, planes = stack.first, [plane for _, plane in stack.members]
    columns, rows, _ = stack.shape
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
    grid = grid_of(planes, columns=columns, rows=rows)
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
