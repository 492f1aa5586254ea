"""Builders of believable cases and predictions for tests, of the phantom brain of `tests.phantoms`.

Each builder takes what matters to the test and fills in the rest. Shapes are small so that tests are fast; volumes in
millilitres are those of an adult all the same.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from tests.phantoms import centred_affine, onto, phantom_entropy, phantom_image, phantom_labels, sagittal_affine
from triage.anatomy import N_CLASSES
from triage.case import Case, Format, NotChosen, RefusedInput, Series, SourceFile, Volume, Weighting
from triage.dicom.write import write_classic_series, write_enhanced_series
from triage.errors import Code
from triage.findings import FINDINGS
from triage.prediction import Prediction, PriorEffect, Step

_ADULT_ML = (0.0, 210.0, 520.0, 470.0, 48.0, 10.5, 22.0, 3.6, 105.0, 28.0, 32.0, 4.5)
"""Typical adult volume of each class."""


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
