"""Whole networks of few or many label maps, trunk and all: where is a prior worth most?

Small ones at 2 mm. Options and random numbers are the same for all, only the label maps differ: the first 1, 2, 5 or
all 20 of the file. Of the bundle nothing is used but the atlas.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.bundle import ATLAS, read_atlas
from models.label_maps import LabelMap, read_label_maps
from models.network import SIDE_MULTIPLE, SMALLEST_SIDE, SegmentationNet
from models.priors.atlas import Atlas
from models.priors.exponent import Exponents
from models.priors.pose import find_pose
from pipelines.bench.page import Inputs, kept
from pipelines.bench.prior_poses import mean_distance
from pipelines.bench.prior_rows import ATLAS_ALONE, LABELS_POSE, usual
from pipelines.bench.prior_scenes import PERHAPS_BRAIN, Scene, grade
from pipelines.bench.prior_worth import compared, in_every_condition, volume_of
from pipelines.engine import coarser
from pipelines.examples import Options
from pipelines.labelled import by_cell, on_conformed
from pipelines.preprocess import Conformed, conform
from pipelines.scans import Scan, read_classes
from pipelines.train import train
from triage.anatomy import BRAIN, LESION, N_CLASSES

NUMBERS_OF_MAPS = (1, 2, 5, 20)
OPTIONS = Options(
    iterations=900,
    every=100,
    spacing=2.0,
    widths=(16, 32, 48, 64, 80),
    shape=(64, 96, 64),
    held_out=0,
    checks=2,
    learning_rate=3e-3,
    healthy_t1=True,
)
"""Ten minutes of one core for each network; chosen by the seconds of an iteration, before any real scan was met."""

NO_NETWORK = Exponents(temperature=1.0, beta=1.0, gamma=0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coarse:
    """A labelled scan at 2 mm. image, classes: (X, Y, Z), sides as a network takes them. affine: index to RAS+ mm.

    pose: (4, 4) RAS+ mm to MNI mm, found from the labels.
    """

    scan: Scan
    image: Tensor
    classes: Tensor
    affine: NDArray[np.float64]
    pose: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Met:
    """A scan as a network meets it: with the atlas at the pose that it finds, and at that of the labels.

    pose_mm: mean distance between the two poses over the brain.
    """

    scene: Scene
    at_labels: Scene
    pose_mm: float


def measure_networks(inputs: Inputs, scans: Sequence[Scan]) -> dict[str, Any]:
    """Of each network under each condition what `meeting` gives. Trains those networks that are not yet trained."""
    atlas = read_atlas(inputs.bundle / ATLAS)
    folder = inputs.cache / "prior_networks"

    @cache
    def copies(condition: str) -> list[Coarse]:
        return [at_2_mm(scan, conform(volume_of(scan, condition)), atlas) for scan in scans]

    def worth(n: int, net: SegmentationNet, shares: Tensor) -> dict[str, Any]:
        def rows(condition: str, known: Exponents | None) -> dict[str, Any]:
            return meeting([meet(one, net, atlas) for one in copies(condition)], shares, known)

        return dict(kept(folder / str(n) / f"worth-{digest(net, atlas)}.json", lambda: in_every_condition(rows)))

    networks = trained(list(read_label_maps(inputs.data / "label_maps" / "head_label_maps.npz")), folder)
    return {"options": asdict(OPTIONS), "worth": {str(n): worth(n, *network) for n, network in networks.items()}}


def trained(maps: Sequence[LabelMap], folder: Path) -> dict[int, tuple[SegmentationNet, Tensor]]:
    """For each number of label maps a network, and the share of each healthy class in what it learned from, (H,)."""
    options = {n: replace(OPTIONS, subjects=n) for n in NUMBERS_OF_MAPS}
    return {n: (network_of(maps, folder / str(n), options[n]), frequency(maps[:n])) for n in NUMBERS_OF_MAPS}


def meeting(met: Sequence[Met], shares: Tensor, known: Exponents | None) -> dict[str, Any]:
    """What `compared` says; rows at the pose of the labels, by the same exponents and by the atlas alone; poses.

    pose_mm: of each scan, how far off the pose is.
    """
    found = compared([one.scene for one in met], shares, known)
    exponents = Exponents(**found["fits"][usual(found)])
    there = [one.at_labels for one in met]
    silent = [replace(one, logits=torch.zeros(()).expand_as(one.logits)) for one in there]
    found["rows"] |= {LABELS_POSE: grade(there, exponents, shares), ATLAS_ALONE: grade(silent, NO_NETWORK, shares)}
    return found | {"pose_mm": {one.scene.subject: one.pose_mm for one in met}}


def network_of(maps: Sequence[LabelMap], folder: Path, options: Options) -> SegmentationNet:
    """The averaged weights of the folder's training, which is taken up where it stopped."""
    training = train(options, maps, [], folder)
    net = SegmentationNet(N_CLASSES, options.widths)
    net.load_state_dict(training.ema)
    return net.eval().requires_grad_(False)


def frequency(maps: Sequence[LabelMap]) -> Tensor:
    """(H,), share of each healthy class among the healthy voxels of the label maps."""
    counts = sum(np.bincount(m.classes.ravel(), minlength=N_CLASSES)[:LESION] for m in maps)
    return torch.from_numpy(counts / np.sum(counts)).float()


def digest(net: SegmentationNet, atlas: Atlas) -> str:
    """Of the weights and the atlas, 12 characters: what is measured here is theirs."""
    known = [*net.state_dict().values(), atlas.probability, torch.from_numpy(atlas.affine)]
    return hashlib.sha256(b"".join(values.numpy().tobytes() for values in known)).hexdigest()[:12]


def at_2_mm(scan: Scan, conformed: Conformed, atlas: Atlas) -> Coarse:
    """The mean of every 8 voxels of 1 mm, and the class that most of them have."""
    assert scan.labels is not None
    image = functional.avg_pool3d(torch.from_numpy(conformed.image)[None], 2)[0]
    voxels = by_cell(on_conformed(*read_classes(scan.labels), conformed))
    votes = torch.stack([(voxels == c).sum(dim=0) for c in range(N_CLASSES)])
    classes = votes.argmax(dim=0).view(image.shape)
    sides = [max(SMALLEST_SIDE, -(-n // SIDE_MULTIPLE) * SIDE_MULTIPLE) for n in image.shape]
    wider = [end for n, side in zip(image.shape, sides, strict=True) for end in (side - n, 0)][::-1]
    affine = coarser(conformed.affine, 2, centre=0.5)
    certain = functional.one_hot(classes, N_CLASSES).permute(3, 0, 1, 2).float()
    return Coarse(
        scan=scan,
        image=functional.pad(image, wider),
        classes=functional.pad(classes, wider).to(torch.uint8),
        affine=affine,
        pose=find_pose(*_coarser(certain, affine), atlas).affine,
    )


def meet(one: Coarse, net: SegmentationNet, atlas: Atlas) -> Met:
    """Every voxel of the brain and of what was taken for it."""
    with torch.inference_mode():
        logits = net(one.image[None, None])[0]
    probability = torch.softmax(logits, dim=0)
    pose = find_pose(*_coarser(probability, one.affine), atlas).affine
    inside = (one.classes >= min(BRAIN)) | (probability[list(BRAIN)].sum(dim=0) > PERHAPS_BRAIN)
    own, true = (atlas.on_grid(one.image.shape, at @ one.affine)[:, inside] for at in (pose, one.pose))
    scene = Scene(
        subject=one.scan.name,
        split=one.scan.split,
        manual=one.scan.manual,
        logits=logits[:, None, inside],
        atlas=own,
        classes=one.classes[None, inside],
    )
    brain = np.argwhere((one.classes >= min(BRAIN)).numpy())
    points = np.c_[brain, np.ones(len(brain))] @ one.affine.T
    return Met(scene=scene, at_labels=replace(scene, atlas=true), pose_mm=mean_distance(pose, one.pose, points))


def _coarser(probability: Tensor, affine: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.float64]]:
    """Healthy classes at twice the spacing, (H, X/2, Y/2, Z/2), and the affine of that grid."""
    return functional.avg_pool3d(probability, 2)[:LESION], coarser(affine, 2, centre=0.5)
