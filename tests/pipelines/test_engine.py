"""The engine with the bundle that comes with the project, on the MNI152 template: ranges, sides, and the same twice."""

import json
import math
import shutil
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from models.bundle import METADATA, NETWORK, SUMS, seal, write_metadata
from models.classify import Classifier
from models.network import WIDTHS
from pipelines.descriptors import facts
from pipelines.engine import BundleEngine, load_engine
from pipelines.fit_classifier import KEYS, install
from pipelines.grids import labels_on_grid
from tests.conftest import REPOSITORY
from triage.anatomy import BRAIN, LESION, N_CLASSES, TISSUES
from triage.case import Volume
from triage.errors import TriageError
from triage.findings import findings, most_like
from triage.gate.signals import FAR_MM, SIGNALS, Evidence
from triage.ports import Engine
from triage.prediction import Prediction

SHIPPED = REPOSITORY / "models" / "shipped"
SEED = 7
SAMPLES = 4
WHITE = 3
LEFT_WHITE_MM = (-27.0, -12.0, 30.0)
"""In the white matter of the left hemisphere."""

pytestmark = pytest.mark.skipif(not (SHIPPED / SUMS).is_file(), reason="there is no sealed bundle in models/shipped")


def icbm(kind: str) -> Volume:
    """The template (t1) or a tissue map (gm, wm) of ICBM152 2009a, every second millimetre."""
    path = Path(str(files("nilearn"))) / "datasets" / "data" / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    image = nib.load(path)
    array = np.asarray(image.dataobj, np.float32)[::2, ::2, ::2]
    return Volume(array=np.ascontiguousarray(array), affine=image.affine @ np.diag([2.0, 2.0, 2.0, 1.0]))


@cache
def template() -> Volume:
    return icbm("t1")


def stored_otherwise(volume: Volume) -> Volume:
    """The same image with slices from left to right as its last axis, and columns that run to the back."""
    matrix = np.zeros((4, 4))
    nx, ny, _ = volume.array.shape
    matrix[1, 0], matrix[1, 3] = -1, ny - 1
    matrix[2, 1] = 1
    matrix[0, 2], matrix[0, 3] = -1, nx - 1
    matrix[3, 3] = 1
    array = np.transpose(volume.array, (1, 2, 0))[::-1, :, ::-1]
    return Volume(array=np.ascontiguousarray(array), affine=volume.affine @ matrix)


def with_a_bright_ball(volume: Volume, at_mm: tuple[float, float, float], radius_mm: float = 9) -> Volume:
    """The volume with a ball of twice its largest intensity painted where these millimetres are."""
    mm = millimetres(np.stack(np.indices(volume.array.shape), axis=-1), volume.affine)
    near = ((mm - at_mm) ** 2).sum(axis=-1) <= radius_mm**2
    return replace(volume, array=np.where(near, 2 * volume.array.max(), volume.array).astype(np.float32))


def millimetres(index: NDArray[np.integer], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N, 3) through an affine."""
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def signal(name: str, prediction: Prediction) -> float:
    """One signal of the gate, against no usual entropy."""
    return SIGNALS[name](Evidence(prediction=prediction, usual_entropy=np.zeros(FAR_MM + 1)))


def maps_of(prediction: Prediction) -> tuple[NDArray[np.generic], ...]:
    p = prediction
    return (p.image, p.labels, p.entropy, p.expected_entropy, p.conflict, p.volumes_mm3, p.scanner_labels)


def scalars_of(prediction: Prediction) -> tuple[float, ...]:
    p = prediction
    return (p.pairwise_dice, p.feature_distance, p.atlas_log_bayes_factor, *p.prior_effect.over(BRAIN))


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def engine() -> BundleEngine:
    return load_engine(SHIPPED, device="cpu", samples=SAMPLES)


@pytest.fixture(scope="module")
def prediction(engine: BundleEngine) -> Prediction:
    return engine.predict(template(), seed=SEED)


@pytest.fixture(scope="module")
def otherwise(engine: BundleEngine) -> Prediction:
    """The same template, stored with its axes in another order."""
    return engine.predict(stored_otherwise(template()), seed=SEED)


def test_the_engine_keeps_the_domains_port(engine: BundleEngine) -> None:
    port: Engine = engine

    assert port.bundle.digest == engine.model.digest
    assert len(port.bundle.digest) == 64


def test_maps_have_the_shapes_types_and_ranges_that_the_prediction_promises(prediction: Prediction) -> None:
    p = prediction

    assert p.labels.dtype == np.uint8 and p.labels.max() < N_CLASSES
    for values in (p.image, p.entropy, p.expected_entropy, p.conflict, p.scanner_entropy):
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert p.image.min() >= 0 and p.image.max() <= 1.5
    assert p.volumes_mm3.shape == (SAMPLES, N_CLASSES)
    assert p.scanner_labels.shape == p.scanner_entropy.shape == template().array.shape
    np.testing.assert_array_equal(p.scanner_affine, template().affine)
    assert p.seed == SEED


def test_numbers_lie_in_the_ranges_that_the_prediction_promises(prediction: Prediction) -> None:
    assert 0 < prediction.pairwise_dice <= 1
    assert all(math.isfinite(value) for value in scalars_of(prediction))
    assert prediction.feature_distance >= 0
    assert set(prediction.quality) == {"snr", "edge_contact_cm2", "largest_spacing_mm", "brain_ml"}
    assert prediction.quality["largest_spacing_mm"] == 2


def test_expected_entropy_is_within_entropy_and_entropy_within_log_c(prediction: Prediction) -> None:
    assert (prediction.expected_entropy >= 0).all()
    assert (prediction.expected_entropy <= prediction.entropy).all()
    assert prediction.entropy.max() <= math.log(N_CLASSES) * (1 + 1e-5)


def test_every_sample_shares_out_the_whole_field_of_view(prediction: Prediction) -> None:
    np.testing.assert_allclose(prediction.volumes_mm3.sum(axis=1), prediction.labels.size, rtol=1e-4)


def test_sampled_volumes_are_about_those_of_the_labels(prediction: Prediction) -> None:
    counted = np.bincount(prediction.labels.ravel(), minlength=N_CLASSES)[2:4]  # cortex and white matter

    np.testing.assert_allclose(prediction.volumes_mm3.mean(axis=0)[2:4], counted, rtol=0.15)


@pytest.mark.parametrize(("tissue", "kind", "least"), [("white_matter", "wm", 0.8), ("grey_matter", "gm", 0.7)])
def test_tissues_lie_where_icbm_has_them(prediction: Prediction, tissue: str, kind: str, least: float) -> None:
    found = np.isin(prediction.scanner_labels, TISSUES[tissue])
    expected = icbm(kind).array
    expected = expected / expected.max() > 0.5

    assert dice(found, expected) > least


def test_the_template_lies_on_itself_within_3_mm(prediction: Prediction) -> None:
    brain = np.argwhere(np.isin(prediction.labels, BRAIN))[::97]
    mm = millimetres(brain, prediction.affine)
    moved = millimetres(mm, prediction.mni_affine)

    assert np.linalg.norm(moved - mm, axis=1).mean() < 3
    assert prediction.atlas_log_bayes_factor > 0


def test_no_sample_finds_a_lesion_in_the_healthy_template(prediction: Prediction) -> None:
    assert prediction.volumes_mm3[:, LESION].max() < 10_000


def test_a_healthy_template_has_no_lesion(prediction: Prediction) -> None:
    assert (prediction.labels == LESION).mean() < 1e-3


def test_offsets_of_classes_move_borders_within_the_brain_and_nothing_else(prediction: Prediction) -> None:
    engine = load_engine(SHIPPED)
    others = torch.ones(LESION)
    others[WHITE] = 4.0
    other = replace(
        engine, model=replace(engine.model, class_weight=others * engine.model.class_weight), samples=SAMPLES
    )

    moved = other.predict(template(), seed=SEED)

    white, was = (float((p.labels == WHITE).mean()) for p in (moved, prediction))
    assert white > 1.005 * was
    lesion, before = (p.volumes_mm3[:, LESION].mean() for p in (moved, prediction))
    assert lesion == pytest.approx(before, rel=0.05)  # apart from which cells were surveyed
    np.testing.assert_array_equal(moved.conflict, prediction.conflict)
    assert moved.feature_distance == prediction.feature_distance


def test_the_scanners_grid_says_the_same_at_the_same_millimetres(otherwise: Prediction) -> None:
    onto, shape = otherwise.scanner_affine, otherwise.scanner_labels.shape
    labels = labels_on_grid(otherwise.labels, otherwise.entropy, otherwise.affine, onto, shape)
    step = np.linalg.inv(otherwise.affine) @ onto
    entropy = affine_transform(otherwise.entropy, step[:3, :3], step[:3, 3], shape, order=1)

    np.testing.assert_array_equal(otherwise.scanner_labels, labels)
    np.testing.assert_allclose(otherwise.scanner_entropy, entropy, atol=1e-3)


def test_it_does_not_matter_how_the_image_was_stored(prediction: Prediction, otherwise: Prediction) -> None:
    np.testing.assert_allclose(otherwise.affine, prediction.affine, atol=1e-9)
    np.testing.assert_array_equal(otherwise.labels, prediction.labels)
    for name in (name for name in SIGNALS if name != "input_quality"):
        assert signal(name, otherwise) == pytest.approx(signal(name, prediction), rel=1e-5, nan_ok=True)


def test_what_is_painted_on_the_left_is_found_on_the_left(engine: BundleEngine, prediction: Prediction) -> None:
    painted = engine.predict(stored_otherwise(with_a_bright_ball(template(), LEFT_WHITE_MM)), seed=SEED)
    white_mm = millimetres(np.argwhere(prediction.labels == WHITE), prediction.affine)
    now = painted.labels[tuple(np.rint(millimetres(white_mm, np.linalg.inv(painted.affine))).astype(int).T)]
    changed_mm = white_mm[now != WHITE]

    assert len(changed_mm) > 500
    assert np.median(np.linalg.norm(changed_mm - LEFT_WHITE_MM, axis=1)) < 12
    assert np.median(changed_mm[:, 0]) == pytest.approx(LEFT_WHITE_MM[0], abs=6)


def test_the_same_seed_gives_the_same_bits(engine: BundleEngine, prediction: Prediction) -> None:
    again = engine.predict(template(), seed=SEED)

    assert all(np.array_equal(a, b) for a, b in zip(maps_of(again), maps_of(prediction), strict=True))
    assert scalars_of(again) == scalars_of(prediction)


def test_the_number_of_threads_changes_no_label_after_the_network_and_only_last_bits(engine: BundleEngine) -> None:
    features: list[torch.Tensor] = []

    def once(image: torch.Tensor) -> torch.Tensor:
        if not features:
            features.append(engine.runner(image))
        return features[0]

    same_features = replace(engine, runner=once)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = same_features.predict(template(), seed=SEED)
        torch.set_num_threads(3)
        three = same_features.predict(template(), seed=SEED)
    finally:
        torch.set_num_threads(threads)

    np.testing.assert_array_equal(three.labels, one.labels)
    np.testing.assert_allclose(three.entropy, one.entropy, atol=1e-5)
    np.testing.assert_allclose(three.conflict, one.conflict, atol=1e-5)
    np.testing.assert_allclose(three.volumes_mm3, one.volumes_mm3, rtol=1e-6)
    np.testing.assert_allclose(scalars_of(three), scalars_of(one), rtol=1e-6)


@pytest.mark.slow
def test_the_runner_of_the_network_changes_no_more_than_rounding(prediction: Prediction) -> None:
    reference = load_engine(SHIPPED, device="reference", samples=SAMPLES).predict(template(), seed=SEED)

    assert (reference.labels == prediction.labels).mean() > 0.999
    np.testing.assert_allclose(reference.entropy.mean(), prediction.entropy.mean(), rtol=1e-2)
    np.testing.assert_allclose(reference.volumes_mm3[:, 2:4], prediction.volumes_mm3[:, 2:4], rtol=1e-2)


def test_steps_tell_what_was_done_and_timings_how_long_it_took(prediction: Prediction) -> None:
    assert [step.name for step in prediction.steps] == ["conform", "network", "pose", "prior", "posterior"]
    assert set(prediction.timings_s) == {"conform", "network", "pose", "prior", "posterior", "scanner_grid"}
    assert all(seconds >= 0 for seconds in prediction.timings_s.values())


def test_a_bundle_in_which_one_byte_was_changed_is_not_used(tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(SHIPPED, copy)
    weights = bytearray((copy / NETWORK).read_bytes())
    weights[-1] ^= 1
    (copy / NETWORK).write_bytes(weights)

    with pytest.raises(TriageError, match="was changed") as caught:
        load_engine(copy)
    assert caught.value.do == "No case was decided."


def with_a_classifier(folder: Path, keys: tuple[str, ...]) -> Path:
    """A copy of the bundle with a classifier that holds everything for the last of these findings."""
    copy = folder / "bundle"
    shutil.copytree(SHIPPED, copy)
    size = len(facts(torch.ones(N_CLASSES, 2, 2, 2))) + len(TISSUES) * WIDTHS[0]
    weights = torch.zeros(len(keys), size + 1)
    weights[-1, -1] = 9.0
    classifier = Classifier(
        centre=torch.zeros(size), scale=torch.ones(size), weights=weights, factor=1e-6 * torch.eye(weights.numel())
    )
    install(copy, classifier, {})
    metadata = json.loads((copy / METADATA).read_text())
    metadata["brain_triage"]["findings"] = keys
    write_metadata(copy / METADATA, metadata)
    seal(copy)
    return copy


def test_a_bundle_with_a_classifier_tells_what_a_scan_looks_like(tmp_path: Path) -> None:
    engine = load_engine(with_a_classifier(tmp_path, KEYS), samples=1)

    samples = engine.predict(template(), seed=SEED).finding_samples

    assert samples.shape[1] == len(KEYS)
    np.testing.assert_allclose(samples.sum(axis=1), 1, atol=1e-9)
    likely = most_like(findings(samples))
    assert likely is not None and likely.key == KEYS[-1]


def test_a_classifier_of_other_findings_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(TriageError, match="are not those of this program"):
        load_engine(with_a_classifier(tmp_path, ("normal", "mood")))


@pytest.mark.parametrize("loss", ["SHA256SUMS", NETWORK])
def test_a_bundle_from_which_a_file_is_missing_is_not_used(tmp_path: Path, loss: str) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(SHIPPED, copy)
    (copy / loss).unlink()

    with pytest.raises(TriageError, match=loss):
        load_engine(copy)
