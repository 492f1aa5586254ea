"""A bundle is taken whole and unchanged, or refused with what is wrong and what to do."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.bundle import (
    ATLAS,
    CLASSIFIER,
    DENSITY,
    MEMBERS,
    METADATA,
    NETWORK,
    POSTERIOR,
    SUMS,
    BundleError,
    load_bundle,
    read_atlas,
    seal,
    verify,
    write_atlas,
    write_metadata,
    write_tensors,
)
from models.classify import Classifier
from models.last_block import last_weights
from models.network import SegmentationNet
from models.priors.atlas import Atlas

CLASSES = ("background", "healthy", "lesion")
TEMPERATURE = 2.0
AGAIN = "Take the bundle from its source again."


@pytest.fixture(scope="module")
def network() -> SegmentationNet:
    torch.manual_seed(0)
    return SegmentationNet(len(CLASSES))


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return Atlas(probability=torch.softmax(torch.randn(2, 4, 5, 6), dim=0), affine=affine)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory, network, atlas) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_tensors(folder / NETWORK, network.state_dict(), half=True)
    write_tensors(folder / POSTERIOR, {"directions": torch.full((4, *network.linear_head.shape), 0.5)})
    write_tensors(folder / DENSITY, {"mean": torch.zeros(3), "whitening": torch.eye(3)})
    write_atlas(folder / ATLAS, atlas)
    settings = {
        "classes": CLASSES,
        "posterior": "laplace",
        "training_prior": [0.25, 0.75],
        "beta": 0.4,
        "temperature": TEMPERATURE,
    }
    write_metadata(folder / METADATA, {"name": "toy", "version": "1.2.3", "brain_triage": settings})
    (folder / "LICENSE").write_text("Apache-2.0\n")
    seal(folder)
    return folder


@pytest.fixture
def folder(sealed, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(sealed, tmp_path / "bundle"))


def test_a_bundle_comes_back_as_it_was_written(sealed, network, atlas):
    bundle = load_bundle(sealed)

    assert (bundle.name, bundle.version, bundle.classes, bundle.beta) == ("toy", "1.2.3", CLASSES, 0.4)
    assert bundle.method == "laplace"
    assert bundle.training_prior.tolist() == [0.25, 0.75]
    assert bundle.digest == verify(sealed)
    np.testing.assert_array_equal(bundle.atlas.affine, atlas.affine)
    torch.testing.assert_close(bundle.atlas.probability, atlas.probability, atol=0.005, rtol=0)
    assert bundle.density.distance(torch.tensor([3.0, 0, 0])) == pytest.approx(3 / 3**0.5)
    for name, value in network.trunk.state_dict().items():
        assert torch.equal(bundle.trunk.state_dict()[name], value.half().float()), name


def test_the_training_prior_is_the_frequency_of_the_classes_to_the_fitted_exponent(folder):
    metadata = json.loads((folder / METADATA).read_text())
    metadata["brain_triage"]["training_prior_exponent"] = 0.5
    write_metadata(folder / METADATA, metadata)
    seal(folder)

    bundle = load_bundle(folder)

    expected = np.sqrt([0.25, 0.75])
    np.testing.assert_allclose(bundle.training_prior, expected / expected.sum(), rtol=1e-6)


def test_a_class_weighs_the_exponential_of_its_offset_and_one_where_none_was_fitted(folder):
    before = load_bundle(folder)
    metadata = json.loads((folder / METADATA).read_text())
    metadata["brain_triage"]["class_offsets"] = [0.0, -1.5]
    write_metadata(folder / METADATA, metadata)
    seal(folder)

    assert before.class_weight.tolist() == [1, 1]
    np.testing.assert_allclose(load_bundle(folder).class_weight, [1, np.exp(-1.5)], rtol=1e-6)


def test_the_head_and_its_posterior_are_divided_by_the_temperature(sealed, network):
    posterior = load_bundle(sealed).posterior

    torch.testing.assert_close(posterior.mean, network.linear_head.half().float() / TEMPERATURE)
    assert float(posterior.directions.max()) == 0.5 / TEMPERATURE


def test_the_trunk_is_ready_to_predict_not_to_train(sealed):
    trunk = load_bundle(sealed).trunk

    assert not trunk.training
    assert not any(p.requires_grad for p in trunk.parameters())


def test_an_atlas_leaves_nothing_impossible_when_read_back(tmp_path):
    certain = torch.zeros(2, 2, 2, 2)
    certain[0] = 1
    write_atlas(tmp_path / "atlas.nii.gz", Atlas(probability=certain, affine=np.eye(4)))

    atlas = read_atlas(tmp_path / "atlas.nii.gz")

    assert float(atlas.probability.min()) == pytest.approx(0.5 / 256)
    torch.testing.assert_close(atlas.probability.sum(dim=0), torch.ones(2, 2, 2))


def test_the_digest_is_another_when_any_file_is(folder):
    before = verify(folder)
    (folder / "LICENSE").write_text("MIT\n")

    assert seal(folder) != before


@pytest.mark.parametrize("name", ["LICENSE", METADATA, NETWORK, POSTERIOR, DENSITY, ATLAS])
def test_one_changed_byte_of_any_file_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)

    with pytest.raises(BundleError, match=re.escape(f"{name} of the bundle was changed. {AGAIN}")):
        load_bundle(folder)


def test_a_missing_file_is_refused(folder):
    (folder / ATLAS).unlink()

    with pytest.raises(
        BundleError, match=re.escape(f"{ATLAS} is missing, but listed in {SUMS} of the bundle. {AGAIN}")
    ):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["notes.txt", "models/SHA256SUMS", "__pycache__/network.pyc"])
def test_an_added_file_is_refused(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("anything")

    with pytest.raises(BundleError, match=re.escape(f"{name} is not listed in {SUMS} of the bundle. {AGAIN}")):
        load_bundle(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match=rf"There is no {SUMS} in .*\. Give the folder of a bundle\."):
        load_bundle(tmp_path)


@pytest.mark.parametrize("text", ["", "no digest here\n", "\n\n"])
def test_a_list_of_digests_that_lists_nothing_is_refused(folder, text):
    (folder / SUMS).write_text(text)

    with pytest.raises(BundleError, match=rf"{SUMS} of the bundle. {AGAIN}"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("name", "key"), [(NETWORK, "head.bias"), (POSTERIOR, "directions"), (DENSITY, "mean")], ids=lambda v: Path(v).stem
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_though_their_digest_is_right(folder, name, key, value):
    tensors = load_file(folder / name)
    tensors[key].view(-1)[0] = value
    write_tensors(folder / name, tensors)
    seal(folder)

    with pytest.raises(BundleError, match=re.escape(f"{key} in {name} is not finite throughout. {AGAIN}")):
        load_bundle(folder)


def test_weights_of_another_network_are_refused(folder):
    write_tensors(folder / NETWORK, SegmentationNet(4).state_dict())
    seal(folder)

    with pytest.raises(
        BundleError, match=rf"The weights in {NETWORK} do not fit this network\. Use the code's own version"
    ):
        load_bundle(folder)


def test_a_posterior_of_another_head_is_refused(folder):
    write_tensors(folder / POSTERIOR, {"directions": torch.zeros(2, 8, 33)})
    seal(folder)

    with pytest.raises(BundleError, match=rf"The posterior in {POSTERIOR} does not fit this network\. Use the code's"):
        load_bundle(folder)


def test_a_posterior_that_this_version_does_not_know_is_refused(folder):
    metadata = json.loads((folder / METADATA).read_text())
    metadata["brain_triage"]["posterior"] = "from_the_future"
    write_metadata(folder / METADATA, metadata)
    seal(folder)

    with pytest.raises(BundleError, match=r"The posterior in .* does not fit this network"):
        load_bundle(folder)


def name_findings(folder: Path) -> None:
    metadata = json.loads((folder / METADATA).read_text())
    metadata["brain_triage"]["findings"] = ["normal", "ill"]
    write_metadata(folder / METADATA, metadata)
    seal(folder)


def test_a_bundle_may_come_without_a_classifier(sealed):
    bundle = load_bundle(sealed)

    assert (bundle.findings, bundle.classifier) == ((), None)


def test_a_classifier_comes_back_as_it_was_written(folder):
    written = Classifier(
        centre=torch.ones(3), scale=torch.full((3,), 2.0), weights=torch.zeros(2, 4), factor=torch.eye(8)
    )
    write_tensors(folder / CLASSIFIER, written.state)
    name_findings(folder)

    bundle = load_bundle(folder)

    assert bundle.findings == ("normal", "ill")
    assert bundle.classifier is not None
    assert all(torch.equal(bundle.classifier.state[key], value) for key, value in written.state.items())


def test_findings_without_a_classifier_are_refused(folder):
    name_findings(folder)

    with pytest.raises(BundleError, match=rf"names findings, but there is no {CLASSIFIER}"):
        load_bundle(folder)


@pytest.mark.parametrize("tensors", [{"weights": torch.zeros(2, 4)}, {"centre": torch.zeros(3)}])
def test_a_classifier_that_is_not_whole_is_refused(folder, tensors):
    write_tensors(folder / CLASSIFIER, tensors)
    name_findings(folder)

    with pytest.raises(BundleError, match=rf"{CLASSIFIER} is not a classifier of findings"):
        load_bundle(folder)


def test_a_bundle_may_come_without_members(sealed):
    assert load_bundle(sealed).members == ()


def test_a_member_is_the_network_but_for_the_weights_in_its_file_and_its_head_is_divided_too(folder, network):
    torch.manual_seed(1)
    other = SegmentationNet(len(CLASSES))
    differs = last_weights(other)
    write_tensors(folder / MEMBERS / "one.safetensors", differs, half=True)
    write_tensors(folder / MEMBERS / "two.safetensors", {"head.bias": torch.ones(24)})
    seal(folder)

    one, two = load_bundle(folder).members

    for name, value in one.trunk.state_dict().items():
        source = other if f"trunk.{name}" in differs else network
        assert torch.equal(value, source.trunk.state_dict()[name].half().float()), name
    torch.testing.assert_close(one.linear_head, other.linear_head.half().float() / TEMPERATURE)
    torch.testing.assert_close(two.linear_head[:, :-1], network.linear_head[:, :-1].half().float() / TEMPERATURE)
    assert two.linear_head[:, -1].unique().tolist() == [1 / TEMPERATURE]
    assert not one.training


@pytest.mark.parametrize("tensors", [{"head.bias": torch.zeros(8)}, {"tail.bias": torch.zeros(24)}])
def test_a_member_of_another_network_is_refused(folder, tensors):
    write_tensors(folder / MEMBERS / "odd.safetensors", tensors)
    seal(folder)

    with pytest.raises(BundleError, match=rf"The weights in {MEMBERS}/odd\.safetensors do not fit this network"):
        load_bundle(folder)


def test_a_file_that_is_no_safetensors_file_is_refused(folder):
    torch.save({"anything": torch.zeros(1)}, folder / DENSITY)
    seal(folder)

    with pytest.raises(BundleError, match=re.escape(f"{DENSITY} is not a safetensors file. {AGAIN}")):
        load_bundle(folder)


def test_no_code_of_ours_reads_or_writes_pickles(repository):
    sources = [p for part in ("models", "pipelines", "triage") for p in (repository / part).rglob("*.py")]
    pickles = re.compile(r"\bpickle\b(?!=False)|\bjoblib\b|\btorch\.(load|save)\(|allow_pickle=True")

    guilty = [p.relative_to(repository).as_posix() for p in sources if pickles.search(p.read_text())]

    assert sources
    assert guilty == []
