"""Lesions on the images that show them: white-matter lesions on FLAIR, gliomas on FLAIR and after contrast."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from pipelines.bench.page import Inputs, kept
from pipelines.compare import segmenter_digest
from pipelines.engine import BundleEngine
from pipelines.evaluate import SEED
from pipelines.labelled import features_folder, labelled
from pipelines.metrics import dice, jaccard, surface_distance_95
from pipelines.scans import Scan, read_nifti
from triage.anatomy import LESION

DETECTED = 0.1
"""A mass is found where the Jaccard index is at least this. Source: Jaeger et al. 2020, arXiv:1811.08661, section 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionImage:
    """One image of a scan in which lesions are drawn. contrast: flair or t1c. mask: lesion where it is above 0."""

    scan: Scan
    finding: str
    contrast: str
    mask: Path


def read_lesion_images(table: Path, findings: Sequence[str]) -> list[LesionImage]:
    """The images of these findings whose `label` is a mask on the grid of that image."""
    images = []
    with table.open(newline="") as stream:
        for row in csv.DictReader(stream):
            per_scan = row["label"] and "change mask" not in row["label_kind"]
            for contrast in ("flair", "t1c"):
                if row["finding"] in findings and per_scan and row[contrast]:
                    scan = Scan(
                        name=f"{row['case']}.{contrast}",
                        split=row["split"],
                        finding=row["finding"],
                        t1=table.parent / row[contrast],
                        labels=None,
                        manual=row["label_kind"].startswith("manual"),
                    )
                    mask = table.parent / row["label"]
                    images.append(LesionImage(scan=scan, finding=row["finding"], contrast=contrast, mask=mask))
    return images


def measure_lesions(inputs: Inputs, engine: BundleEngine) -> list[dict[str, Any]]:
    """A row an image: Dice, Jaccard and 95 % surface distance of the lesion, and both volumes."""
    images = read_lesion_images(inputs.cases, ("wmh/atrophy", "tumour"))
    folder = inputs.cache / "lesions" / segmenter_digest(engine)
    return [kept(folder / f"{one.scan.name}.json", lambda one=one: _row(one, inputs, engine)) for one in images]  # type: ignore[misc]


def _row(image: LesionImage, inputs: Inputs, engine: BundleEngine) -> dict[str, Any]:
    (one,) = labelled([image.scan], engine.runner, features_folder(inputs.cache, engine.model.trunk))
    volume = read_nifti(image.scan.t1)
    prediction = engine.infer(one.features, one.conformed, volume, seed=SEED)
    truth = np.asarray(nib.load(image.mask).dataobj) > 0
    found = prediction.scanner_labels == LESION
    voxel_ml = float(abs(np.linalg.det(volume.affine[:3, :3]))) / 1000
    return {
        "case": image.scan.name,
        "finding": image.finding,
        "contrast": image.contrast,
        "dice": dice(found, truth),
        "jaccard": jaccard(found, truth),
        "hd95_mm": surface_distance_95(found, truth, volume.spacing_mm),
        "found_ml": float(found.sum()) * voxel_ml,
        "expected_ml": float(prediction.volumes_mm3[:, LESION].mean()) / 1000,
        "true_ml": float(truth.sum()) * voxel_ml,
    }
