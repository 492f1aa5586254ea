"""Builders of believable nouns for tests: a phantom brain with every structure, and all that is made from it.

Each builder takes what matters to the test and fills in the rest. Shapes are small so that tests are fast; volumes in
millilitres are those of an adult all the same.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from scipy.ndimage import affine_transform, gaussian_filter, gaussian_gradient_magnitude

from triage.anatomy import LESION, N_CLASSES
from triage.case import Case, Format, NotChosen, RefusedInput, Series, SourceFile, Volume, Weighting
from triage.dicom.write import write_classic_series, write_enhanced_series
from triage.errors import Code
from triage.findings import FINDINGS
from triage.prediction import Prediction, PriorEffect, Step
from triage.verdict import (
    BundleId,
    EntropyShare,
    Interpretation,
    Place,
    Reason,
    Report,
    Route,
    Side,
    SignalReading,
    Spot,
    Verdict,
)

SHAPE = (64, 76, 64)
PROMISE = "With 95 % confidence at most 10 % of the accepted cases are bad (29 accepted calibration cases, 0 bad)."
BUNDLE = BundleId(name="brain-triage-shipped", version="1.0.0", digest=hashlib.sha256(b"bundle").hexdigest())

_T1 = (0.03, 0.16, 0.52, 0.82, 0.62, 0.55, 0.13, 0.14, 0.50, 0.80, 0.74, 0.36)
"""Normalised T1-weighted intensity of each class of `triage.anatomy`."""

_ADULT_ML = (0.0, 210.0, 520.0, 470.0, 48.0, 10.5, 22.0, 3.6, 105.0, 28.0, 32.0, 4.5)
"""Typical adult volume of each class."""

Ellipsoid = tuple[int, tuple[float, float, float], tuple[float, float, float]]

_ANATOMY: tuple[Ellipsoid, ...] = (
    # Class, centre and radii in half fields of view, RAS+: x to the right, y to the front, z up. Painted in order.
    (1, (0.00, 0.00, 0.10), (0.74, 0.86, 0.74)),
    (2, (0.00, 0.00, 0.12), (0.70, 0.82, 0.69)),
    (3, (0.34, 0.00, 0.14), (0.30, 0.72, 0.58)),
    (3, (-0.34, 0.00, 0.14), (0.30, 0.72, 0.58)),
    (3, (0.00, 0.05, 0.18), (0.30, 0.42, 0.12)),
    (1, (0.00, -0.46, -0.50), (0.52, 0.36, 0.30)),
    (8, (0.00, -0.46, -0.50), (0.48, 0.32, 0.26)),
    (9, (0.00, -0.42, -0.48), (0.24, 0.16, 0.14)),
    (10, (0.00, -0.16, -0.50), (0.13, 0.13, 0.42)),
    (4, (0.22, 0.02, 0.04), (0.12, 0.24, 0.14)),
    (4, (-0.22, 0.02, 0.04), (0.12, 0.24, 0.14)),
    (5, (0.36, -0.10, -0.22), (0.09, 0.24, 0.09)),
    (5, (-0.36, -0.10, -0.22), (0.09, 0.24, 0.09)),
    (6, (0.12, 0.04, 0.24), (0.075, 0.34, 0.11)),
    (6, (-0.12, 0.04, 0.24), (0.075, 0.34, 0.11)),
    (7, (0.00, -0.02, 0.02), (0.05, 0.14, 0.12)),
    (7, (0.00, -0.33, -0.46), (0.05, 0.06, 0.12)),
)
_LESION: Ellipsoid = (LESION, (0.40, 0.34, 0.30), (0.11, 0.12, 0.10))
"""A white-matter lesion in the right frontal lobe: its side is known, so a mirrored output is caught."""


def phantom_labels(shape: tuple[int, int, int] = SHAPE, *, lesion: bool = True) -> NDArray[np.uint8]:
    """(X, Y, Z) class ids, RAS+, of a brain with all structures; the lesion lies in the right frontal lobe."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij", sparse=True)
    labels = np.zeros(shape, np.uint8)
    for class_id, centre, radii in (*_ANATOMY, *((_LESION,) if lesion else ())):
        inside = sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1
        labels[inside] = class_id
    return labels


def phantom_image(labels: NDArray[np.uint8], *, seed: int = 0, noise: float = 0.02) -> NDArray[np.float32]:
    """T1-weighted image of a label map, about [0, 1]: a skull with scalp around it, partial volume and noise."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in labels.shape), indexing="ij", sparse=True)
    radius = np.sqrt((grid[0] / 0.90) ** 2 + (grid[1] / 0.98) ** 2 + ((grid[2] - 0.06) / 0.90) ** 2)
    scalp = (radius > 0.92) & (radius < 1.0) & (labels == 0)
    image = np.where(scalp, np.float32(0.9), np.asarray(_T1, np.float32)[labels])
    blurred = gaussian_filter(image, 0.6) + np.random.default_rng(seed).normal(0, noise, labels.shape)
    return np.clip(blurred, 0, 1.1).astype(np.float32)


def phantom_entropy(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(X, Y, Z) nats: high where structures meet, and higher in the lesion, as a network is."""
    edges = gaussian_gradient_magnitude(np.asarray(_T1, np.float32)[labels], 0.8)
    in_lesion = gaussian_filter((labels == LESION).astype(np.float32), 1.5)
    return np.clip(2.4 * edges + 1.3 * in_lesion, 0, math.log(N_CLASSES) * 0.98).astype(np.float32)


def centred_affine(shape: Sequence[int], spacing_mm: Iterable[float] = (1.0, 1.0, 1.0)) -> NDArray[np.float64]:
    """RAS+ affine that puts the middle of the grid at the origin."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.asarray(shape) - 1) / 2
    return affine


def sagittal_affine(shape: Sequence[int], spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Affine of a sagittal acquisition: columns run to the back, rows run down, slices run from right to left."""
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2], affine[3, 3] = -spacing_mm[0], -spacing_mm[1], -spacing_mm[2], 1.0
    affine[:3, 3] = -affine[:3, :3] @ (np.asarray(shape) - 1) / 2
    return affine


def onto(
    array: NDArray[Any],
    affine: NDArray[np.float64],
    shape: tuple[int, int, int],
    to: NDArray[np.float64],
    *,
    order: int = 0,
) -> NDArray[Any]:
    """The map resampled onto another grid through millimetres; order 0 is the nearest voxel."""
    step = np.linalg.inv(affine) @ to
    return affine_transform(array, step[:3, :3], step[:3, 3], output_shape=shape, order=order)


def a_series(**changes: Any) -> Series:
    """A classic T1 series of one file per slice, sagittal, on the grid of `a_volume`."""
    series = Series(
        uid="1.2.826.0.1.3680043.10.1.1",
        pseudonym="series-7c1f",
        format=Format.CLASSIC,
        files=tuple(SourceFile(path=Path(f"IM{i:04d}"), sha256="0" * 64) for i in range(54)),
        shape=(76, 64, 54),
        spacing_mm=(1.0, 1.0, 1.2),
        weighting=Weighting.T1,
        manufacturer="SIEMENS",
        field_strength_t=3.0,
        age_years=67.0,
    )
    return replace(series, **changes)


def a_case(pseudonym: str = "case-3f9a2c71", **changes: Any) -> Case:
    case = Case(
        pseudonym=pseudonym,
        content_sha256=hashlib.sha256(pseudonym.encode()).hexdigest(),
        structural=a_series(),
        others=(
            NotChosen(
                pseudonym="series-91be",
                weighting=Weighting.FLAIR,
                shape=(256, 256, 36),
                code=None,
                why="FLAIR, 4 mm slices",
            ),
        ),
    )
    return replace(case, **changes)


def a_written_case(
    folder: Path,
    pseudonym: str = "case-3f9a2c71",
    *,
    enhanced: bool = False,
    volume: Volume | None = None,
    tags: Mapping[str, object] | None = None,
) -> Case:
    """A case whose series lies as DICOM in the folder, with the pixels of the volume, `a_volume` unless told.

    tags: attributes of its headers, by keyword.
    """
    volume = a_volume() if volume is None else volume
    paths = (write_enhanced_series if enhanced else write_classic_series)(volume, folder, tags=tags)
    i, j, k = volume.array.shape
    series = a_series(
        format=Format.ENHANCED if enhanced else Format.CLASSIC,
        files=tuple(SourceFile(path=p, sha256=hashlib.sha256(p.read_bytes()).hexdigest()) for p in paths),
        uid=str(dcmread(paths[0], stop_before_pixels=True).SeriesInstanceUID),
        shape=(i, j, k),
        spacing_mm=volume.spacing_mm,
    )
    return a_case(pseudonym, structural=series)


def a_refused_input(pseudonym: str = "case-b07d55e0", code: Code = Code.MISSING_SLICE, **changes: Any) -> RefusedInput:
    refused = RefusedInput(
        pseudonym=pseudonym,
        content_sha256=hashlib.sha256(pseudonym.encode()).hexdigest(),
        code=code,
        message="The gap after slice 41 is 2.40 mm, the median is 1.20 mm.",
        do="A slice is probably missing: send the series again from the PACS.",
        n_files=159,
    )
    return replace(refused, **changes)


def a_volume(
    labels: NDArray[np.uint8] | None = None,
    *,
    shape: tuple[int, int, int] = (76, 64, 54),
    affine: NDArray[np.float64] | None = None,
) -> Volume:
    """The phantom's image on a scanner's grid, sagittal and 1.2 mm thick unless told; intensities about [0, 1000]."""
    labels = phantom_labels() if labels is None else labels
    to = sagittal_affine(shape, (1.0, 1.0, 1.2)) if affine is None else affine
    image = onto(phantom_image(labels) * 1000, centred_affine(labels.shape), shape, to, order=1)
    return Volume(array=image.astype(np.float32), affine=to)


def volumes_of(labels: NDArray[np.uint8], *, samples: int = 16, seed: int = 0) -> NDArray[np.float64]:
    """(S, C) mm3: adult volumes of the classes that are present, spread by 2 %, the small ones by more."""
    present = np.bincount(labels.ravel(), minlength=N_CLASSES) > 0
    ml = np.asarray(_ADULT_ML)
    spread = 0.02 + 0.05 / np.sqrt(ml + 1.0)
    draws = np.random.default_rng(seed).normal(0, 1, (samples, N_CLASSES))
    return np.where(present, 1000 * ml * np.exp(spread * draws), 0.0)


def finding_samples(most_like: str = "normal", *, samples: int = 64, seed: int = 0) -> NDArray[np.float64]:
    """(S, K) probabilities of which the named finding has about four fifths in every sample."""
    favoured = np.array([28.0 if f.key == most_like else 2.0 for f in FINDINGS])
    return np.random.default_rng(seed).dirichlet(favoured, samples)


def a_prior_effect(labels: NDArray[np.uint8]) -> PriorEffect:
    """A prior that took 0.03 nats from every voxel and gave one hippocampal voxel in five its label."""
    voxels = np.bincount(labels.ravel(), minlength=N_CLASSES).astype(np.float64)
    relabelled = np.zeros(N_CLASSES)
    relabelled[5] = voxels[5] / 5
    return PriorEffect(voxels=voxels, relabelled=relabelled, entropy_before=0.21 * voxels, entropy_after=0.18 * voxels)


def a_prediction(labels: NDArray[np.uint8] | None = None, volume: Volume | None = None, **changes: Any) -> Prediction:
    """The posterior predictive of the phantom, conformed and on the grid of the volume."""
    labels = phantom_labels() if labels is None else labels
    volume = a_volume(labels) if volume is None else volume
    affine = centred_affine(labels.shape)
    entropy = phantom_entropy(labels)
    scanner_shape = volume.array.shape
    prediction = Prediction(
        affine=affine,
        mni_affine=np.diag([1.02, 1.05, 1.08, 1.0]),
        image=phantom_image(labels),
        labels=labels,
        entropy=entropy,
        expected_entropy=(0.8 * entropy).astype(np.float32),
        conflict=(0.1 * entropy).astype(np.float32),
        volumes_mm3=volumes_of(labels),
        pairwise_dice=0.94,
        finding_samples=finding_samples(),
        feature_distance=1.3,
        atlas_log_bayes_factor=0.12,
        prior_effect=a_prior_effect(labels),
        quality={"snr": 31.0, "edge_contact_cm2": 0.0, "largest_spacing_mm": 1.2, "brain_ml": 1300.0},
        scanner_labels=onto(labels, affine, scanner_shape, volume.affine),
        scanner_entropy=onto(entropy, affine, scanner_shape, volume.affine),
        scanner_affine=volume.affine,
        seed=20240117,
        steps=(
            Step(name="conform", parameters={"spacing_mm": 1.0, "orientation": "RAS+"}),
            Step(name="sample_posterior", parameters={"method": "subject_bootstrap", "samples": 16}),
        ),
        timings_s={"read": 0.8, "network": 3.1, "posterior": 0.6},
    )
    return replace(prediction, **changes)


_TITLES: Mapping[str, str] = {
    "boundary_entropy": "Entropy along boundaries",
    "interior_entropy": "Entropy away from boundaries",
    "worst_patch": "Entropy of the worst 10 mm patch",
    "sample_disagreement": "Disagreement of posterior samples",
    "volume_spread": "Spread of structure volumes",
    "prior_conflict": "Conflict with anatomy",
    "feature_density": "Distance from training images",
    "input_quality": "Input quality",
}


def signal_readings(
    parts: Sequence[float] = (0.05, 0.02, 0.08, 0.04, 0.03, 0.02, 0.01, 0.0),
) -> tuple[SignalReading, ...]:
    """Eight signals whose parts are the ones given."""
    return tuple(
        SignalReading(name=name, title=title, value=4 * part, limit=0.6, part=part)
        for (name, title), part in zip(_TITLES.items(), parts, strict=True)
    )


def a_place() -> Place:
    """The middle of the phantom's lesion, on the grids of `a_prediction` and `a_volume`."""
    _, centre, _ = _LESION
    conformed = tuple(round((c + 1) / 2 * (n - 1)) for c, n in zip(centre, SHAPE, strict=True))
    ras = centred_affine(SHAPE) @ (*conformed, 1)
    scanner = np.rint(np.linalg.inv(a_volume().affine) @ ras).astype(int)
    i, j, k = conformed
    return Place(
        conformed=(i, j, k),
        scanner=(int(scanner[0]), int(scanner[1]), int(scanner[2])),
        ras_mm=(float(ras[0]), float(ras[1]), float(ras[2])),
        structure="Lesion",
    )


def an_interpretation() -> Interpretation:
    """Doubt that lies in the lesion on the right, and some in the cortex of both sides."""
    return Interpretation(
        shares=(
            EntropyShare(structure="Lesion", side=Side.RIGHT, share=0.62, of_brain=0.01),
            EntropyShare(structure="Cortical grey matter", side=Side.BOTH, share=0.3, of_brain=0.43),
            EntropyShare(structure="Third and fourth ventricle", side=Side.MIDLINE, share=0.08, of_brain=0.002),
        ),
        spots=(
            Spot(place=a_place(), side=Side.RIGHT, nats=0.61, ml=4.2),
            Spot(
                place=replace(
                    a_place(), conformed=(20, 40, 30), ras_mm=(-11.5, 2.5, -1.5), structure="Deep grey matter"
                ),
                side=Side.LEFT,
                nats=0.2,
                ml=1.0,
            ),
        ),
        misfit=0.02,
        slices=(40, 52),
    )


def an_accepted_verdict(**changes: Any) -> Verdict:
    signals = signal_readings()
    verdict = Verdict(
        route=Route.ACCEPTED,
        score=math.fsum(s.part for s in signals),
        limit=1.0,
        signals=signals,
        reasons=(),
        action="Use the measurements.",
        place=a_place(),
        promise=PROMISE,
    )
    return replace(verdict, **changes)


def a_flagged_verdict(**changes: Any) -> Verdict:
    signals = signal_readings((0.12, 0.10, 0.62, 0.21, 0.18, 0.35, 0.06, 0.02))
    verdict = Verdict(
        route=Route.HUMAN_REVIEW,
        score=math.fsum(s.part for s in signals),
        limit=1.0,
        signals=signals,
        reasons=(
            Reason(
                signal="worst_patch",
                text="The 10 mm around the lesion are far less certain than is usual at that depth.",
                value=2.48,
                limit=0.6,
                part=0.62,
                action="Look at the right frontal white matter: confirm or redraw the lesion.",
            ),
            Reason(
                signal="prior_conflict",
                text="The segmentation disagrees with where anatomy expects white matter.",
                value=1.4,
                limit=0.6,
                part=0.35,
                action="Compare the segmentation with the image in the right frontal lobe.",
            ),
        ),
        action="Look at the right frontal white matter: confirm or redraw the lesion.",
        place=a_place(),
        promise=PROMISE,
        interpretation=an_interpretation(),
    )
    return replace(verdict, **changes)


def a_refused_verdict(refused: RefusedInput) -> Verdict:
    reason = Reason(signal="input", text=refused.message, value=math.nan, limit=math.nan, part=0.0, action=refused.do)
    return Verdict(
        route=Route.REFUSED,
        score=math.nan,
        limit=math.nan,
        signals=(),
        reasons=(reason,),
        action=refused.do,
        place=None,
        promise=PROMISE,
    )


def an_accepted_report(case: Case | None = None, prediction: Prediction | None = None, **changes: Any) -> Report:
    report = Report(
        case=case or a_case(),
        verdict=an_accepted_verdict(),
        bundle=BUNDLE,
        volume=a_volume(),
        prediction=prediction or a_prediction(),
    )
    return replace(report, **changes)


def a_flagged_report(case: Case | None = None, prediction: Prediction | None = None, **changes: Any) -> Report:
    report = an_accepted_report(case or a_case("case-c4d10e88"), prediction)
    return replace(report, **{"verdict": a_flagged_verdict(), **changes})


def a_refused_report(refused: RefusedInput | None = None) -> Report:
    refused = refused or a_refused_input()
    return Report(case=refused, verdict=a_refused_verdict(refused), bundle=BUNDLE)
