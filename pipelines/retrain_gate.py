"""The gate of a retrained bundle: limits belong to weights, so it is calibrated again before it may accept a case."""

import logging
import shutil

from pipelines.calibrate import calibrate
from pipelines.certificate import write_bundle
from pipelines.retrain_job import Job, Metrics
from pipelines.retrain_stages import BUNDLE, CALIBRATED

RISKS = (0.05,)
CONFIDENCE = 0.95
_LOG = logging.getLogger(__name__)


def recalibrate(job: Job) -> Metrics:
    """Score, certify and check the bundle on the labelled scans; the calibrated one is a copy beside it."""
    assert job.cases is not None
    bundle, calibrated = job.folder / BUNDLE, job.folder / CALIBRATED
    found = calibrate(
        cases=job.cases,
        bundle=bundle,
        risks=RISKS,
        lesion_risks=(),
        confidence=CONFIDENCE,
        ledger=job.ledger,
        cache=job.state / "calibration",
        say=_LOG.info,
    )
    shutil.rmtree(calibrated, ignore_errors=True)
    write_bundle(found, bundle, calibrated, CONFIDENCE)
    level = found.certified
    return {"certified_risk": level.risk} if level else {}
