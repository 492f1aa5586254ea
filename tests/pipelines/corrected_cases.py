"""What a run and a reviewer leave behind: decided cases in an output folder, corrections in the review database."""

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from pipelines.folders import MANIFEST, SCHEMA, SUPERSEDED
from pipelines.retrain_corrections import CORRECTIONS
from pipelines.settings import Settings
from tests.builders import a_volume
from tests.fakes import tiny_report
from tests.phantoms import phantom_labels
from tests.verdicts import BUNDLE
from triage.case import Volume
from triage.report.as_json import as_json
from triage.report.as_nifti import as_nifti
from triage.review import ReaderVerdict, ReviewDesk, Role, connect, open_queue
from triage.review.database import transaction
from triage.review.records import Opinion
from triage.review.tables import Account
from triage.verdict import BundleId


@dataclass(frozen=True, kw_only=True, eq=False)
class Corrected:
    """seen: labels that the model gave. labels: those that the reviewer gave. Both on the volume's grid."""

    pseudonym: str
    subject: str
    volume: Volume
    seen: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def a_correction(number: int, subject: str | None = None) -> Corrected:
    """A phantom whose white matter the model took for grey on one side, which the reviewer put right."""
    labels = phantom_labels()
    volume = a_volume(labels, shape=labels.shape, affine=np.eye(4))
    seen = np.where((labels == 3) & (np.arange(labels.shape[0]) < 30)[:, None, None], 2, labels).astype(np.uint8)
    noise = np.random.default_rng(number).normal(0, 10, labels.shape)
    return Corrected(
        pseudonym=f"bt-{number:02}",
        subject=f"person {number}" if subject is None else subject,
        volume=replace(volume, array=(volume.array + noise).astype(np.float32)),
        seen=seen,
        labels=labels,
    )


def correct(settings: Settings, *cases: Corrected) -> None:
    """Decide these cases, flag them, and let a reviewer correct each."""
    for case in cases:
        decide(settings, case)
        read(settings, case)


def decide(settings: Settings, case: Corrected, *, bundle: BundleId = BUNDLE, blind: bool = False) -> None:
    """What a run leaves: the folder of a case, and the case in the queue. An older decision makes way.

    blind: it was accepted and drawn for quality control.
    """
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    content = hashlib.sha256(case.volume.array.tobytes()).hexdigest()
    report = tiny_report(case.pseudonym, doubt=0.2 if blind else 2.0, content=content, bundle=bundle)
    assert report.prediction is not None
    prediction = replace(report.prediction, scanner_labels=case.seen, scanner_entropy=np.zeros(case.seen.shape))
    report = replace(report, case=replace(report.case, subject=case.subject), volume=case.volume, prediction=prediction)
    folder = settings.out / case.pseudonym
    if folder.exists():
        (settings.out / SUPERSEDED).mkdir(exist_ok=True)
        folder.rename(settings.out / SUPERSEDED / f"{case.pseudonym}-before")
    folder.mkdir(parents=True)
    as_json(report, folder)
    as_nifti(report, folder)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    decision = {"pseudonym": case.pseudonym, "content_sha256": content, "bundle_digest": bundle.digest}
    (folder / MANIFEST).write_text(json.dumps({"schema": SCHEMA, "files": digests} | decision))
    with closing(open_queue(settings.review_database)) as queue:
        queue.settle(report, blind=blind)


def read(settings: Settings, case: Corrected, opinion: Opinion | None = None) -> None:
    """A reviewer says what a case is; without an opinion, it is corrected."""
    engine = connect(settings.review_database)
    desk, reviewer = ReviewDesk(engine, corrections=settings.state_folder / CORRECTIONS), _reviewer(engine)
    item = desk.case(case.pseudonym, account=reviewer).item
    assert item is not None
    desk.claim(item.item_id, account=reviewer)
    if opinion is None:
        kept = desk.keep_correction(item.item_id, case.labels, case.volume.affine, account=reviewer)
        opinion = Opinion(verdict=ReaderVerdict.CORRECT, code="boundary", correction_sha256=kept.sha256)
    desk.decide(item.item_id, opinion, account=reviewer)
    engine.dispose()


def _reviewer(engine: Engine) -> int:
    with transaction(engine) as session:
        known = session.scalar(select(Account.id).where(Account.name == "rita"))
        if known is not None:
            return known
        account = Account(
            name="rita",
            role=Role.REVIEWER.value,
            active=True,
            session_epoch=0,
            failures=0,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        session.add(account)
        session.flush()
        return account.id
