"""What a retraining may learn from: the corrections of reviewers, whose they are, and what the ledger lets them be for.

A correction is used only when it is the last word on its case, its label volume is the one that was kept, image and
segmentation still lie untouched as the reviewer saw them, and the subject is known. What is left out is counted by its
reason. A later verdict takes a correction back, whatever it was given on: who accepts what a newer model made of the
case leaves nothing to learn.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from models.runtime import Runner
from pipelines.bundles import KEY_DIGITS
from pipelines.folders import decisions
from pipelines.labelled import Labelled, on_conformed
from pipelines.preprocess import conform
from pipelines.scans import Scan, read_nifti
from pipelines.settings import Settings
from triage.anatomy import N_CLASSES
from triage.dicom.deid import Pseudonyms, load_or_create_key
from triage.disk import file_sha256
from triage.errors import TriageError
from triage.ledger import Ledger, Split
from triage.report.as_json import REPORT
from triage.report.as_nifti import IMAGE, SEGMENTATION
from triage.review import ReaderVerdict, ReviewDesk, connect
from triage.review.records import ReadingRecord
from triage.review.words import Kind

LEDGER = "splits.jsonl"
CORRECTIONS = "corrections"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """One case with the labels that a reviewer gave it. subject: pseudonym of the patient.

    image, seen, labels: NIfTI files on the scanner's grid; `seen` are the labels that the model gave, `labels` those of
    the reviewer, both class ids of `triage.anatomy`. content_sha256: of the input. seen_sha256, sha256: of their files.
    """

    pseudonym: str
    subject: str
    image: Path
    seen: Path
    labels: Path
    content_sha256: str
    sha256: str
    seen_sha256: str

    @property
    def key(self) -> str:
        """Of these labels on this image."""
        return f"{self.content_sha256[:KEY_DIGITS]}-{self.sha256[:KEY_DIGITS]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """train: weights may learn from them. tune: temperature and prior may. left_out: how many others, by reason."""

    train: tuple[Corrected, ...]
    tune: tuple[Corrected, ...]
    left_out: Mapping[str, int]


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of a state folder. A name in a table and the same Patient ID in an inbox are one subject."""
    key = load_or_create_key(settings.pseudonym_key)
    return Ledger(file=settings.state_folder / LEDGER, key=key, alias=Pseudonyms(key=key).of_subject)


def read_corrections(settings: Settings) -> Corrections:
    """Every case on which the last word is a correction, by the split of its subject; a new one is allotted one now."""
    if not _has_database(settings):
        raise TriageError(
            f"There is no review database at {settings.review_file}.",
            do="Name the folders of the runs with --out and --state.",
        )
    ledger, left_out = open_ledger(settings), Counter[str]()
    found: dict[Split, list[Corrected]] = {split: [] for split in Split}
    readings = read_readings(settings)
    settle_audit(settings, ledger, readings)
    for one in _corrected(settings, readings, left_out):
        found[ledger.split_of(one.subject)].append(one)
    for split in (Split.CALIBRATE, Split.TEST, Split.AUDIT):
        left_out[f"of a subject that belongs to the split {split}"] += len(found[split])
    return Corrections(train=tuple(found[Split.TRAIN]), tune=tuple(found[Split.TUNE]), left_out=+left_out)


def load_corrected(one: Corrected, runner: Runner) -> Labelled:
    """The image conformed, its features, and the labels on the same grid."""
    labels = nib.load(one.labels)
    classes = np.asarray(labels.dataobj).astype(np.uint8)
    if classes.max() >= N_CLASSES:
        raise TriageError(
            f"The correction of {one.pseudonym} holds the label {classes.max()}; the largest class is {N_CLASSES - 1}.",
            do="Correct the case again.",
        )
    conformed = conform(read_nifti(one.image))
    return Labelled(
        scan=Scan(name=one.pseudonym, split="", finding="", t1=one.image, labels=one.labels, manual=True),
        conformed=conformed,
        features=runner(torch.from_numpy(conformed.image)),
        classes=on_conformed(classes, np.asarray(labels.affine, np.float64), conformed),
    )


def read_readings(settings: Settings) -> tuple[ReadingRecord, ...]:
    """The final readings of all cases, oldest first; none before there is a review database."""
    if not _has_database(settings):
        return ()
    engine = connect(settings.review_database)
    try:
        return ReviewDesk(engine, corrections=settings.state_folder / CORRECTIONS).readings()
    finally:
        engine.dispose()


def settle_audit(settings: Settings, ledger: Ledger, readings: Iterable[ReadingRecord]) -> None:
    """Whoever was read blind is audited, unless the ledger knows the subject: what judges a model teaches no model.

    To be called before new subjects are allotted a split.
    """
    for pseudonym in {reading.pseudonym for reading in readings if reading.kind is Kind.BLIND}:
        subject = _subject(settings.out / pseudonym)
        if subject:
            ledger.split_of(subject, {Split.AUDIT: 1})


def _corrected(settings: Settings, readings: Sequence[ReadingRecord], left_out: Counter[str]) -> Iterator[Corrected]:
    """In order of the pseudonyms, so that the same corrections make the same bundle in whatever order they came."""
    last = {reading.pseudonym: reading for reading in readings}
    for pseudonym in sorted({reading.pseudonym for reading in readings if reading.verdict is ReaderVerdict.CORRECT}):
        reading = last[pseudonym]
        found = _usable(settings, reading)
        if isinstance(found, Corrected):
            yield found
        else:
            left_out[found] += 1


def _usable(settings: Settings, reading: ReadingRecord) -> Corrected | str:
    """A correction, or why it cannot be used."""
    if reading.correction is None:
        return "that a later verdict on the case took back"
    if reading.kind is Kind.BLIND:
        return "of a case that was read blind, which judges the model"
    folder = _as_it_was_read(settings.out, reading)
    if folder is None:
        return "whose image and segmentation are not in the output folder as they were read"
    labels = settings.state_folder / CORRECTIONS / reading.correction.path
    if _sha256(labels) != reading.correction.sha256:
        return "whose labels are not as they were kept"
    subject = _subject(folder)
    if not subject:
        return "of a subject that nobody knows"
    return Corrected(
        pseudonym=reading.pseudonym,
        subject=subject,
        image=folder / IMAGE,
        seen=folder / SEGMENTATION,
        labels=labels,
        content_sha256=reading.decision.content_sha256,
        sha256=reading.correction.sha256,
        seen_sha256=file_sha256(folder / SEGMENTATION),
    )


def _as_it_was_read(out: Path, reading: ReadingRecord) -> Path | None:
    """The folder of the very decision that was read: what another model made of the case is no work of the reviewer."""
    wanted = (reading.decision.content_sha256, reading.decision.bundle.digest)
    for folder, manifest in decisions(out, reading.pseudonym):
        sealed = manifest["files"]
        untouched = all(_sha256(folder / name) == sealed.get(name, "") for name in (IMAGE, SEGMENTATION, REPORT))
        if (manifest["content_sha256"], manifest["bundle_digest"]) == wanted and untouched:
            return folder
    return None


def _subject(folder: Path) -> str:
    """Pseudonym of the patient of a case; empty when nobody knows."""
    try:
        return json.loads((folder / REPORT).read_text(encoding="utf-8"))["case"].get("subject") or ""
    except (OSError, ValueError, KeyError):
        return ""


def _has_database(settings: Settings) -> bool:
    return settings.review_url is not None or settings.review_file.is_file()


def _sha256(path: Path) -> str | None:
    """None when there is no such file."""
    try:
        return file_sha256(path)
    except OSError:
        return None
