"""A bundle: a folder in MONAI-bundle form with everything that a decision depends on, checked by digest before use.

LICENSE  configs/metadata.json  docs/README.md (the model card)
models/network.safetensors  models/posterior.safetensors  models/density.safetensors  models/atlas.nii.gz
models/classifier.safetensors (of findings), models/members/*.safetensors (of an ensemble): a bundle may come without
operating_point.json (the gate's)  SHA256SUMS
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.classify import Classifier
from models.density import FeatureDensity
from models.network import SUBVOXELS, SegmentationNet, Trunk
from models.posteriors import POSTERIORS, HeadPosterior
from models.priors.atlas import Atlas

SUMS = "SHA256SUMS"
METADATA = "configs/metadata.json"
NETWORK = "models/network.safetensors"
POSTERIOR = "models/posterior.safetensors"
DENSITY = "models/density.safetensors"
ATLAS = "models/atlas.nii.gz"
CLASSIFIER = "models/classifier.safetensors"
MEMBERS = "models/members"


class BundleError(Exception):
    """A bundle that must not be used. The text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bundle:
    """A model ready to predict. digest: SHA-256 of SHA256SUMS. classes: keys of the classes, background first.

    training_prior: (C - 1,) classes of healthy tissue as the likelihood expects them: their frequencies in training to
    the fitted exponent gamma, see `models.priors.exponent`. class_weight: (C - 1,), the prior ratio of each of them is
    multiplied by it: exp of the fitted offsets, 1 where none were.
    method: the posterior's row of POSTERIORS. beta: exponent of the prior ratio. temperature: of healthy tissue; the
    posterior is already divided by it, see `models.predictive.rule`. A state without a mean is that of the network's
    own head.
    findings: keys of the classifier's classes; none without a classifier.
    members: other networks of the same task, with what they share with this one; their heads, too, are divided.
    """

    name: str
    version: str
    digest: str
    classes: tuple[str, ...]
    trunk: Trunk
    method: str
    posterior: HeadPosterior
    atlas: Atlas
    training_prior: Tensor
    class_weight: Tensor
    beta: float
    temperature: float
    density: FeatureDensity
    findings: tuple[str, ...]
    classifier: Classifier | None
    members: tuple[SegmentationNet, ...] = ()


def load_bundle(folder: Path) -> Bundle:
    """Check every digest, then load. Raises BundleError."""
    digest = verify(folder)
    metadata = json.loads((folder / METADATA).read_text())
    settings = metadata["brain_triage"]
    classes = tuple(settings["classes"])
    net = read_network(folder, len(classes))
    temperature = float(settings["temperature"])
    state = {"mean": net.linear_head} | _read_tensors(folder, POSTERIOR)
    try:
        posterior = POSTERIORS[settings["posterior"]].load({k: v / temperature for k, v in state.items()})
    except (KeyError, ValueError) as error:
        raise BundleError(
            f"The posterior in {POSTERIOR} does not fit this network. Use the code's own version."
        ) from error
    density = _read_tensors(folder, DENSITY)
    findings = tuple(settings.get("findings", ()))
    return Bundle(
        name=metadata["name"],
        version=metadata["version"],
        digest=digest,
        classes=classes,
        trunk=net.trunk,
        method=settings["posterior"],
        posterior=posterior,
        atlas=read_atlas(folder / ATLAS),
        training_prior=_training_prior(settings),
        class_weight=torch.tensor(settings.get("class_offsets", [0.0] * (len(classes) - 1))).exp(),
        beta=float(settings["beta"]),
        temperature=temperature,
        density=FeatureDensity(mean=density["mean"], whitening=density["whitening"]),
        findings=findings,
        classifier=_read_classifier(folder) if findings else None,
        members=tuple(_read_members(folder, net, temperature)),
    )


def read_network(folder: Path, n_classes: int) -> SegmentationNet:
    """The network alone, without a check of the digests. Raises BundleError."""
    net = SegmentationNet(n_classes)
    try:
        net.load_state_dict(_read_tensors(folder, NETWORK))
    except RuntimeError as error:
        raise BundleError(f"The weights in {NETWORK} do not fit this network. Use the code's own version.") from error
    return net.eval().requires_grad_(False)


def _read_members(folder: Path, net: SegmentationNet, temperature: float) -> Iterator[SegmentationNet]:
    """Each file holds the weights in which a member differs from the network."""
    for path in sorted((folder / MEMBERS).glob("*.safetensors")):
        name = path.relative_to(folder).as_posix()
        member = SegmentationNet(net.head.out_channels // SUBVOXELS)
        try:
            member.load_state_dict(net.state_dict() | _read_tensors(folder, name))
        except RuntimeError as error:
            raise BundleError(f"The weights in {name} do not fit this network. Use the code's own version.") from error
        for weights in member.head.parameters():
            weights.data /= temperature
        yield member.eval().requires_grad_(False)


def _training_prior(settings: dict[str, Any]) -> Tensor:
    powers = torch.tensor(settings["training_prior"]) ** float(settings.get("training_prior_exponent", 1.0))
    return powers / powers.sum()


def verify(folder: Path) -> str:
    """The bundle's digest, after every file named in SHA256SUMS was found unchanged and none was added."""
    sums = folder / SUMS
    if not sums.is_file():
        raise BundleError(f"There is no {SUMS} in the bundle folder {folder}. Give the folder of a bundle.")
    lines = [line.partition("  ") for line in sums.read_text().splitlines()]
    listed = {name: value for value, _, name in lines}
    present = {p.relative_to(folder).as_posix() for p in _files(folder)}
    for name in sorted(present ^ set(listed)):
        problem = "is not listed in" if name in present else "is missing, but listed in"
        raise BundleError(f"{name} {problem} {SUMS} of the bundle. Take the bundle from its source again.")
    for name, value in listed.items():
        if _sha256(folder / name) != value:
            raise BundleError(f"{name} of the bundle was changed. Take the bundle from its source again.")
    return _sha256(sums)


def seal(folder: Path) -> str:
    """Write SHA256SUMS over the files of a bundle; returns the bundle's digest."""
    lines = [f"{_sha256(p)}  {p.relative_to(folder).as_posix()}" for p in _files(folder)]
    (folder / SUMS).write_text("\n".join(lines) + "\n")
    return _sha256(folder / SUMS)


def write_tensors(path: Path, tensors: dict[str, Tensor], *, half: bool = False) -> None:
    """Save as safetensors, in half precision if asked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: (v.half() if half else v.float()).contiguous() for k, v in tensors.items()}, path)


def write_metadata(path: Path, metadata: dict[str, Any]) -> None:
    """Save configs/metadata.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metadata, indent=2) + "\n")


def write_atlas(path: Path, atlas: Atlas) -> None:
    """Save as a 4D NIfTI of uint8 (I, J, K, H), probability in 1/255: it opens in any viewer."""
    maps = (atlas.probability.permute(1, 2, 3, 0).numpy() * 255).round().astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(maps, atlas.affine), path)


def read_atlas(path: Path) -> Atlas:
    """Read what `write_atlas` wrote; half a count is added everywhere, so that nothing is impossible."""
    image = nib.load(path)
    maps = torch.from_numpy(np.asarray(image.dataobj, np.float32)).permute(3, 0, 1, 2) + 0.5
    return Atlas(probability=(maps / maps.sum(dim=0)).contiguous(), affine=np.asarray(image.affine, np.float64))


def _read_classifier(folder: Path) -> Classifier:
    if not (folder / CLASSIFIER).is_file():
        raise BundleError(f"{METADATA} names findings, but there is no {CLASSIFIER}. Fit the classifier again.")
    try:
        return Classifier.from_state(_read_tensors(folder, CLASSIFIER))
    except (KeyError, ValueError) as error:
        raise BundleError(f"{CLASSIFIER} is not a classifier of findings. Fit the classifier again.") from error


def _read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of a file of the bundle in single precision, each of them finite."""
    try:
        tensors = {key: value.float() for key, value in load_file(folder / name).items()}
    except SafetensorError as error:
        raise BundleError(f"{name} is not a safetensors file. Take the bundle from its source again.") from error
    for key, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise BundleError(f"{key} in {name} is not finite throughout. Take the bundle from its source again.")
    return tensors


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / SUMS)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
