"""The gate of a retrained bundle: limits belong to weights, so it is calibrated again before it may accept a case."""

import logging
import shutil

from pipelines.calibrate import calibrate
from pipelines.certificate import write_bundle
from pipelines.promises import read_asked
from pipelines.retrain_job import Job, Metrics
from pipelines.retrain_stages import BUNDLE, CALIBRATED

_LOG = logging.getLogger(__name__)


def recalibrate(job: Job) -> Metrics:
    """Score, certify and check the bundle, asked for what the live one was; the calibrated one is a copy beside it."""
    assert job.cases is not None
    bundle, calibrated, asked = job.folder / BUNDLE, job.folder / CALIBRATED, read_asked(job.live)
    found = calibrate(
        cases=job.cases,
        bundle=bundle,
        risks=asked.risks,
        lesion_risks=asked.lesion_risks,
        confidence=asked.confidence,
        whatever_holds=asked.whatever_holds,
        ledger=job.ledger,
        cache=job.state / "calibration",
        say=_LOG.info,
    )
    shutil.rmtree(calibrated, ignore_errors=True)
    write_bundle(found, bundle, calibrated, asked.confidence)
    level = found.certified
    return {"certified_risk": level.risk} if level else {}
