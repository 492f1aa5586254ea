"""The one entry for everything that arrives: an inbox to cases, a chosen series to a volume.

Nothing that is found is lost: it becomes a case, a refused input with its code, or a line in the count of what was
left alone. No text made here holds a name, an identifier, a date or a path of the input.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from triage.case import Case, Inventory, RefusedInput, Series, Volume
from triage.choice import choose
from triage.dicom.confined import decode_confined
from triage.dicom.deid import Pseudonyms
from triage.dicom.files import digest_of, walk
from triage.dicom.header import Header, NotOurs, read_header
from triage.dicom.limits import ReadLimits
from triage.dicom.sniff import Kind, fingerprint, kind_of
from triage.dicom.studies import Rejected, candidates_of, reject, studies_of
from triage.errors import Code, Refusal, TriageError
from triage.nifti import read_nifti_header
from triage.nifti_names import Session, has_agent_name, is_label_name, other_kind, session_of, weighting_of_name

__all__ = ["ReadLimits", "read_volume", "take_inventory"]

_LABELS = "label maps and masks"
_LOG = logging.getLogger(__name__)


def take_inventory(root: Path, *, pseudonyms: Pseudonyms, limits: ReadLimits | None = None) -> Inventory:
    """Everything under a folder, or a single file: DICOM by study, NIfTI by file or by BIDS session.

    Headers and digests only; no pixel is decoded. A TriageError when there is nothing to look at.
    """
    limits = limits or ReadLimits()
    findings = _Findings(pseudonyms=pseudonyms)
    paths = _by_kind(_paths(root, limits), findings)
    _take_dicom(paths[Kind.DICOM], findings, limits)
    _take_nifti(paths[Kind.NIFTI], root, findings, limits)
    findings.refuse_strays(root)
    return Inventory(
        cases=tuple(sorted(findings.cases, key=lambda case: case.pseudonym)),
        refused=tuple(sorted(findings.refused, key=lambda refused: refused.pseudonym)),
        skipped=dict(sorted(findings.skipped.items())),
    )


def read_volume(series: Series, *, limits: ReadLimits | None = None) -> Volume:
    """The pixels of a series in RAS+, decoded in a process of its own; a Refusal when they cannot be believed.

    The array lies in memory with the column index fastest, as in NIfTI.
    """
    return decode_confined(series, limits=limits or ReadLimits())


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What was found so far. strays: refused files by folder and code, so that junk makes one entry a folder."""

    pseudonyms: Pseudonyms
    cases: list[Case] = field(default_factory=list)
    refused: list[RefusedInput] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    strays: dict[tuple[Path, Code], list[tuple[Path, Refusal]]] = field(default_factory=lambda: defaultdict(list))

    def stray(self, path: Path, refusal: Refusal) -> None:
        self.strays[path.parent, refusal.code].append((path, refusal))

    def settle(
        self,
        pseudonym: str,
        candidates: Sequence[Series],
        rejected: Sequence[Rejected],
        digest: str,
        *,
        subject: str = "",
    ) -> None:
        """One study or session: a case with the best candidate, or a refusal for the most promising rejected series."""
        if candidates:
            best, others = choose(candidates)
            self.cases.append(
                Case(
                    pseudonym=pseudonym,
                    content_sha256=digest_of(*(file.sha256 for file in best.files)),
                    structural=best,
                    others=(*others, *(series.not_chosen for series in rejected)),
                    subject=subject,
                )
            )
        elif rejected:
            first, *rest = sorted(rejected, key=_promise)
            n_files = sum(series.n_files for series in rejected)
            self.refuse(pseudonym, digest, first.refusal, n_files, rest)

    def refuse(
        self, pseudonym: str, digest: str, refusal: Refusal, n_files: int, others: Iterable[Rejected] = ()
    ) -> None:
        self.refused.append(
            RefusedInput(
                pseudonym=pseudonym,
                content_sha256=digest,
                code=refusal.code,
                message=refusal.message,
                do=refusal.do,
                n_files=n_files,
                others=tuple(series.not_chosen for series in others),
            )
        )

    def refuse_strays(self, root: Path) -> None:
        for (folder, code), strays in self.strays.items():
            pseudonym = self.pseudonyms.of("files", _below(folder, root), code)
            digest = digest_of(*(fingerprint(path) for path, _ in strays))
            self.refuse(pseudonym, digest, strays[0][1], len(strays))


def _promise(rejected: Rejected) -> tuple[bool, int, str]:
    """Sort key: a series that fails by its geometry or files before one that is no structural image; more files."""
    return rejected.refusal.code is Code.NOT_T1_VOLUME, -rejected.n_files, rejected.not_chosen.pseudonym


def _paths(root: Path, limits: ReadLimits) -> list[Path]:
    if not root.exists():
        raise TriageError("The input does not exist.", do="Give an existing folder or file.")
    if not root.is_dir():
        return [root]
    paths = walk(root, max_files=limits.inventory_files)
    if not paths:
        raise TriageError("The folder is empty.", do="Put DICOM or NIfTI files into it, or give another folder.")
    return paths


def _by_kind(paths: Iterable[Path], findings: _Findings) -> dict[Kind, list[Path]]:
    """What is worth reading, by format; the rest is counted or refused."""
    found: dict[Kind, list[Path]] = {Kind.DICOM: [], Kind.NIFTI: []}
    for path in paths:
        try:
            kind = kind_of(path)
        except Exception as error:
            findings.stray(path, _as_refusal(error))
            continue
        if isinstance(kind, Kind):
            found[kind].append(path)
        else:
            findings.skipped[kind] += 1
    return found


def _take_dicom(paths: Iterable[Path], findings: _Findings, limits: ReadLimits) -> None:
    headers: list[Header] = []
    for path in paths:
        try:
            header = read_header(path, limits=limits)
        except Exception as error:
            findings.stray(path, _as_refusal(error))
            continue
        if isinstance(header, NotOurs):
            findings.skipped[header.kind] += 1
        else:
            headers.append(header)
    for study in studies_of(headers):
        pseudonym = findings.pseudonyms.of(study.patient_id, study.uid)
        if study.conflict:
            findings.refuse(pseudonym, study.content_sha256, study.conflict, len(study.headers))
        else:
            try:
                candidates, rejected = candidates_of(study, findings.pseudonyms)
            except Exception as error:
                findings.refuse(pseudonym, study.content_sha256, _as_refusal(error), len(study.headers))
                continue
            subject = findings.pseudonyms.of_subject(study.patient_id)
            findings.settle(pseudonym, candidates, rejected, study.content_sha256, subject=subject)


def _take_nifti(paths: Iterable[Path], root: Path, findings: _Findings, limits: ReadLimits) -> None:
    sessions: dict[Session, tuple[list[Series], list[Rejected]]] = defaultdict(lambda: ([], []))
    seen: set[str] = set()
    for path in paths:
        session = session_of(path)
        kind = _LABELS if is_label_name(path) else other_kind(path, root) if session else None
        if kind:
            findings.skipped[kind] += 1
            continue
        try:
            series = read_nifti_header(
                path,
                weighting=weighting_of_name(path),
                contrast_agent=has_agent_name(path),
                pseudonyms=findings.pseudonyms,
                limits=limits,
            )
        except Exception as error:
            refusal = _as_refusal(error)
            if session:
                name = findings.pseudonyms.of("nifti", fingerprint(path))
                sessions[session][1].append(reject(name, weighting_of_name(path), (), refusal, n_files=1))
            else:
                findings.stray(path, refusal)
            continue
        if series is None:
            findings.skipped[_LABELS] += 1
        elif series.pseudonym in seen:
            findings.skipped["copies of the same file"] += 1
        elif session:
            sessions[session][0].append(series)
        else:
            seen.add(series.pseudonym)
            findings.settle(series.pseudonym, [series], [], series.uid)
    for session, (candidates, rejected) in sessions.items():
        name = findings.pseudonyms.of("bids", _below(session.dataset, root), session.subject, session.session)
        digest = digest_of(*(series.uid for series in candidates), *(one.not_chosen.pseudonym for one in rejected))
        subject = findings.pseudonyms.of("bids-subject", _below(session.dataset, root), session.subject)
        findings.settle(name, candidates, rejected, digest, subject=subject)


def _as_refusal(error: Exception) -> Refusal:
    """An error of ours in one file or study must not take the others with it; only its type is logged."""
    if isinstance(error, Refusal):
        return error
    _LOG.error("reading met an internal error of type %s", type(error).__name__)
    return Refusal(Code.INTERNAL, "Reading met an error of this program.", do="Look at the input by hand; report it.")


def _below(folder: Path, root: Path) -> str:
    """The folder as seen from the root, so that a pseudonym survives when the inbox moves; hashed, never written."""
    return str(folder.relative_to(root)) if folder.is_relative_to(root) else ""
