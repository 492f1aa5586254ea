"""The report as JSON, valid by `report.schema.json`: everything decided, measured and done, and nobody's identity."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from triage import NOT_FOR_CLINICAL_USE, __version__
from triage.anatomy import BRAIN, N_CLASSES, STRUCTURES, Structure
from triage.case import Case, NotChosen, RefusedInput, Series
from triage.findings import findings
from triage.measurements import measure
from triage.prediction import Prediction, PriorEffect
from triage.verdict import Report, Verdict

REPORT = "report.json"
SCHEMA_VERSION = "1.2"
OLDEST_STATED_AGE = 90
"""Ages of 90 and over are stated as 90. Source: HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(C)."""


def schema() -> dict[str, Any]:
    """The published JSON schema of report.json."""
    return dict(json.loads(files("triage.report").joinpath("report.schema.json").read_text(encoding="utf-8")))


def as_json(report: Report, folder: Path) -> None:
    """Writes report.json. A number that is not finite is written as null; text is ASCII with escapes."""
    text = json.dumps(_plain(contents(report)), indent=2, allow_nan=False)
    (folder / REPORT).write_text(text + "\n", encoding="ascii")


def contents(report: Report) -> dict[str, Any]:
    """What report.json says, in its order."""
    prediction = report.prediction
    return {
        "$schema": schema()["$id"],
        "schema_version": SCHEMA_VERSION,
        "notice": NOT_FOR_CLINICAL_USE,
        "software": {"name": "brain-triage", "version": __version__},
        "bundle": asdict(report.bundle),
        "case": {
            "pseudonym": report.case.pseudonym,
            "content_sha256": report.case.content_sha256,
            "subject": report.case.subject if isinstance(report.case, Case) else "",
            "input": _series(report.case.structural) if isinstance(report.case, Case) else None,
            "not_chosen": [_not_chosen(other) for other in report.case.others],
        },
        "refusal": _refusal(report.case) if isinstance(report.case, RefusedInput) else None,
        "verdict": _verdict(report.verdict),
        "measurements": [asdict(row) for row in measure(prediction.volumes_mm3)] if prediction else [],
        "findings": [asdict(row) for row in findings(prediction.finding_samples)] if prediction else [],
        "uncertainty": _uncertainty(prediction) if prediction else None,
        "processing": _processing(prediction) if prediction else None,
    }


def _series(series: Series) -> dict[str, Any]:
    age = series.age_years
    return {
        "pseudonym": series.pseudonym,
        "format": series.format,
        "n_files": len(series.files),
        "shape": series.shape,
        "spacing_mm": series.spacing_mm,
        "weighting": series.weighting,
        "contrast_agent": series.contrast_agent,
        "acquisition_3d": series.acquisition_3d,
        "manufacturer": series.manufacturer,
        "field_strength_t": series.field_strength_t,
        "age_years": None if age is None or math.isnan(age) else math.floor(min(age, OLDEST_STATED_AGE)),
    }


def _not_chosen(other: NotChosen) -> dict[str, Any]:
    return asdict(other)


def _refusal(refused: RefusedInput) -> dict[str, Any]:
    return {"code": refused.code, "message": refused.message, "do": refused.do, "n_files": refused.n_files}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return asdict(verdict)


def _uncertainty(prediction: Prediction) -> dict[str, Any]:
    before, after, relabelled = prediction.prior_effect.over(BRAIN)
    return {
        "posterior_samples": len(prediction.volumes_mm3),
        "interval": "95 % equal-tailed, over posterior samples",
        "pairwise_dice": prediction.pairwise_dice,
        "feature_distance": prediction.feature_distance,
        "pooled_features": prediction.pooled_features.round(4),
        "mutual_information": _mutual_information(prediction),
        "atlas_log_bayes_factor": prediction.atlas_log_bayes_factor,
        "prior_entropy_share": before - after,
        "prior": {
            "entropy_before": before,
            "entropy_after": after,
            "relabelled": relabelled,
            "structures": [_of_structure(prediction.prior_effect, s) for s in STRUCTURES if s.id in BRAIN],
        },
        "quality": prediction.quality,
    }


def _mutual_information(prediction: Prediction) -> dict[str, float]:
    """Mean nats of each structure that the case shows: what labels of it could teach."""
    voxels = np.bincount(prediction.labels.ravel(), minlength=N_CLASSES)
    nats = np.bincount(prediction.labels.ravel(), prediction.mutual_information.ravel(), N_CLASSES)
    return {s.key: round(float(nats[s.id] / voxels[s.id]), 6) for s in STRUCTURES if voxels[s.id]}


def _of_structure(effect: PriorEffect, structure: Structure) -> dict[str, Any]:
    before, after, relabelled = effect.over((structure.id,))
    return {
        "key": structure.key,
        "name": structure.name,
        "entropy_before": before,
        "entropy_after": after,
        "relabelled": relabelled,
    }


def _processing(prediction: Prediction) -> dict[str, Any]:
    return {
        "seed": prediction.seed,
        "steps": [{"name": step.name, "parameters": step.parameters} for step in prediction.steps],
        "timings_s": prediction.timings_s,
        "scanner_to_mni": prediction.mni_affine,
        "conformed_to_scanner": prediction.affine,
    }


def _plain(value: Any) -> Any:
    """The value in JSON's own types; a number that is not finite becomes None, since JSON has no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
