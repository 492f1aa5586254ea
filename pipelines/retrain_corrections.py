"""What a retraining may learn from: the corrections of reviewers, whose they are, and what the ledger lets them be for.

A correction is used only when all of this is known: its label volume is the one that was kept, the image that it was
drawn on still lies untouched in the output folder, and the subject is known. What is left out is counted by its reason.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from models.runtime import Runner
from pipelines.folders import MANIFEST
from pipelines.labelled import Labelled, on_conformed
from pipelines.preprocess import conform
from pipelines.scans import Scan, read_nifti
from pipelines.settings import Settings
from triage.anatomy import N_CLASSES
from triage.dicom.deid import Pseudonyms, load_or_create_key
from triage.errors import TriageError
from triage.ledger import Ledger, Split
from triage.report.as_json import REPORT
from triage.report.as_nifti import IMAGE, SEGMENTATION
from triage.review import ReaderVerdict, ReviewDesk, connect

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
        return f"{self.content_sha256[:16]}-{self.sha256[:16]}"


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
    """The last correction of every case, by the split of its subject; a new subject is allotted one now, for ever."""
    if settings.review_url is None and not settings.review_file.is_file():
        raise TriageError(
            f"There is no review database at {settings.review_file}.",
            do="Name the folders of the runs with --out and --state.",
        )
    ledger, left_out = open_ledger(settings), Counter[str]()
    found: dict[Split, list[Corrected]] = {split: [] for split in Split}
    for one in _corrected(settings, left_out):
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


def _corrected(settings: Settings, left_out: Counter[str]) -> Iterator[Corrected]:
    """In order of the pseudonyms, so that the same corrections make the same bundle in whatever order they came."""
    folder = settings.state_folder / CORRECTIONS
    engine = connect(settings.review_database)
    try:
        readings = ReviewDesk(engine, corrections=folder).readings()
    finally:
        engine.dispose()
    last = {r.pseudonym: r for r in readings if r.verdict is ReaderVerdict.CORRECT}
    for pseudonym, reading in sorted(last.items()):
        assert reading.correction is not None
        content, labels = reading.decision.content_sha256, folder / reading.correction.path
        image, seen = (settings.out / pseudonym / name for name in (IMAGE, SEGMENTATION))
        manifest = _read(settings.out / pseudonym / MANIFEST)
        subject = _read(settings.out / pseudonym / REPORT).get("case", {}).get("subject")
        sealed = manifest.get("files", {})
        untouched = all(_sha256(path) == sealed.get(path.name, "") for path in (image, seen))
        if manifest.get("content_sha256") != content or not untouched:
            left_out["whose image is not in the output folder as it was"] += 1
        elif _sha256(labels) != reading.correction.sha256:
            left_out["whose labels are not as they were kept"] += 1
        elif not subject:
            left_out["of a subject that nobody knows"] += 1
        else:
            yield Corrected(
                pseudonym=pseudonym,
                subject=subject,
                image=image,
                seen=seen,
                labels=labels,
                content_sha256=content,
                sha256=reading.correction.sha256,
                seen_sha256=sealed[SEGMENTATION],
            )


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, empty when the file does not hold one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _sha256(path: Path) -> str | None:
    """None when there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
