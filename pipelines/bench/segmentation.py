"""Real scans against their labels: the bars that were set, what is reached, and what else a user could take."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.bench.lesions import measure_lesions
from pipelines.bench.other_tools import full_seconds, measure_tools, missing_tools, tissue_dice
from pipelines.bench.page import Bench, Inputs, Results, kept, run
from pipelines.bench.segmentation_cases import measure_cases
from pipelines.bench.segmentation_page import write
from pipelines.compare import GRADED, pooled, segmenter_digest
from pipelines.engine import BundleEngine, load_engine
from pipelines.evaluate import SEED, dice_table
from pipelines.labelled import Labelled, features_folder, labelled
from pipelines.metrics import BAND_MM, auroc, diagram, dice, excess, expected_calibration_error, surface_distance_95
from pipelines.posterior_grades import grades_of
from pipelines.scans import Scan, read_classes, read_nifti, read_scans
from triage.anatomy import BRAIN
from triage.prediction import Prediction

VENTRICLES = (6, 7)
SULCAL_CSF, CORTEX = 1, 2
SILVER = 10
"""So many scans of the test split with automatic labels."""
THIN = 2
"""Entropy is ranked over every second voxel along each axis."""


def measure(inputs: Inputs) -> Results:
    """Ten OASIS scans with manual labels, the IXI scans of the test split with automatic ones, lesions, other tools."""
    engine = load_engine(inputs.bundle)
    scans = read_scans(inputs.cases, ["tune", "calibrate", "test"])
    oasis = [scan for scan in scans if scan.manual]
    ixi = [scan for scan in scans if not scan.manual and scan.split == "test"][:SILVER]
    return {
        "bundle": f"{engine.bundle.name} {engine.bundle.version}",
        "oasis": measure_scans(inputs, engine, oasis),
        "ixi": measure_scans(inputs, engine, ixi),
        "calibration": {"oasis": calibration(inputs, engine, oasis), "ixi": calibration(inputs, engine, ixi)},
        "tools": measure_tools(inputs, engine, oasis),
        "missing_tools": missing_tools(inputs.cache),
        "cpu_s": full_seconds(engine, oasis[0]),
        "lesions": measure_lesions(inputs, engine),
        "cases": measure_cases(inputs, engine),
    }


def measure_scans(inputs: Inputs, engine: BundleEngine, scans: Sequence[Scan]) -> list[dict[str, Any]]:
    """A row a scan; what was measured before with the same bundle is kept."""
    folder = inputs.cache / "scans" / segmenter_digest(engine)
    features = features_folder(inputs.cache, engine.model.trunk)

    def row(scan: Scan) -> dict[str, Any]:
        (one,) = labelled([scan], engine.runner, features)
        volume = read_nifti(scan.t1)
        return scan_row(one, engine.infer(one.features, one.conformed, volume, seed=SEED), volume.spacing_mm)

    return [kept(folder / f"{scan.name}.json", lambda scan=scan: row(scan)) for scan in scans]  # type: ignore[misc]


def scan_row(one: Labelled, prediction: Prediction, spacing_mm: Sequence[float]) -> dict[str, Any]:
    """Dice and 95 % surface distance on the scanner's grid; how well entropy finds the wrong voxels."""
    assert one.scan.labels is not None and one.classes is not None
    labels, (truth, _) = prediction.scanner_labels, read_classes(one.scan.labels)
    found = dice_table(labels, truth)
    found["ventricles"] = dice(np.isin(labels, VENTRICLES), np.isin(truth, VENTRICLES))
    nothing_as_csf = np.where((labels == 0) & (truth > 0), SULCAL_CSF, labels).astype(np.uint8)
    voxel_ml = math.prod(spacing_mm) / 1000
    return {
        "case": one.scan.name,
        "split": one.scan.split,
        "dice": found,
        "hd95_mm": {k: surface_distance_95(labels == n, truth == n, spacing_mm) for k, n in GRADED.items()},
        "volume_ratio": {k: float((labels == n).sum() / (truth == n).sum()) for k, n in GRADED.items()},
        "labels_ml": {k: float((truth == n).sum()) * voxel_ml for k, n in GRADED.items()},
        "tissues": tissue_dice(labels, one.scan),
        "brain_called_nothing": float((labels[truth > 0] == 0).mean()),
        "grey_or_csf_if_nothing_is_csf": tissue_dice(nothing_as_csf, one.scan)["grey_or_csf"],
        "cortex_called_csf": float((labels[truth == CORTEX] == SULCAL_CSF).mean()),
        "error_auroc": error_auroc(prediction, one.classes),
    }


def error_auroc(prediction: Prediction, classes: NDArray[np.uint8]) -> dict[str, float]:
    """AUROC of entropy for a wrong label: in the brain and 2 mm around it, and in the whole image."""
    labels, truth = (np.where(one == 1, 0, one) for one in (prediction.labels, classes))
    near = ndimage.binary_dilation(np.isin(labels, BRAIN) | (truth > 0), iterations=BAND_MM)
    thin = (slice(None, None, THIN),) * 3
    entropy, wrong, near = prediction.entropy[thin], (labels != truth)[thin], near[thin]
    return {"brain": auroc(entropy[near], wrong[near]), "image": auroc(entropy.ravel(), wrong.ravel())}


def calibration(inputs: Inputs, engine: BundleEngine, scans: Sequence[Scan]) -> Mapping[str, Any]:
    """Of each structure in its boundary band, over all scans: calibration error, confidence against frequency.

    excess: mean probability less frequency; where it is all of the error, every probability is off to the same side.
    """
    cases = labelled(scans, engine.runner, features_folder(inputs.cache, engine.model.trunk))
    model = engine.model
    own = {"bundle": model.temperature}
    found = grades_of({"bundle": model.posterior}, engine, cases, inputs.cache, temperatures=own)
    bands = dict(zip(GRADED, pooled(found["bundle"], "band"), strict=True))
    return {
        key: {"ece": expected_calibration_error(seen), "excess": excess(seen), "diagram": diagram(seen).tolist()}
        for key, seen in bands.items()
    }


BENCH = Bench(name="segmentation", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
