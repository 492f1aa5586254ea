"""Labelled scans ready to measure on: conformed, with the trunk's features, each computed once and kept on disk."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.network import SUBVOXELS, Trunk
from models.runtime import Runner
from pipelines.degrade import DEGRADATIONS, LEVELS
from pipelines.preprocess import Conformed, conform
from pipelines.scans import Scan, read_classes, read_nifti
from triage.case import Volume
from triage.disk import file_sha256
from triage.errors import Refusal

SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """features: (F, I, J, K) float32, cells of 2 mm. classes: (X, Y, Z) uint8 on the conformed grid, or None.

    damage: what was done to the scan, such as "noise 3"; empty for the scan as it is.
    """

    scan: Scan
    damage: str = ""
    conformed: Conformed
    features: Tensor
    classes: NDArray[np.uint8] | None


def labelled(scans: Iterable[Scan], runner: Runner, cache: Path | None = None) -> Iterator[Labelled]:
    """Every scan as it is on disk, in order. cache: a folder for this trunk's features (half precision)."""
    for scan in scans:
        yield kept_copy(scan, "", lambda scan=scan: read_nifti(scan.t1), runner, cache)  # type: ignore[misc]


def damaged(
    scans: Iterable[Scan],
    kinds: Sequence[str],
    runner: Runner,
    cache: Path | None = None,
    levels: Sequence[int] = LEVELS,
) -> Iterator[Labelled]:
    """Copies of every scan with each kind of damage at these levels; what preprocessing refuses is left out."""
    for scan, kind, level in itertools.product(scans, kinds, levels):

        def copy(scan: Scan = scan, kind: str = kind, level: int = level) -> Volume:
            return DEGRADATIONS[kind](read_nifti(scan.t1), level, np.random.default_rng(SEED))

        try:
            yield kept_copy(scan, f"{kind} {level}", copy, runner, cache)
        except Refusal:
            continue


def kept_copy(
    scan: Scan,
    damage: str,
    volume: Callable[[], Volume],
    runner: Runner,
    cache: Path | None,
    *,
    seed: int = SEED,
) -> Labelled:
    """What was made of this scan or damaged copy before, from the cache; else it is made of the volume and kept."""
    path = cache / f"{copy_name(scan, damage, seed)}.npz" if cache else None
    if path is not None and path.is_file():
        return _read(scan, damage, path)
    one = label(scan, volume(), runner, damage)
    if path is not None:
        _write(one, path)
    return one


def copy_name(scan: Scan, damage: str, seed: int = SEED) -> str:
    """A file's name for a scan or a damaged copy of it, such as one.noise.3.0123456789ab.

    Another image, other labels or another seed of the damage are another copy; what code makes has no file to tell by.
    """
    files = [file_sha256(path) for path in (scan.t1, scan.labels) if path is not None and path.is_file()]
    known = hashlib.sha256("\n".join([f"{damage} {seed}" if damage else "", *files]).encode()).hexdigest()
    return f"{scan.name} {damage} {known[:12]}".replace("  ", " ").replace(" ", ".")


def features_folder(cache: Path, trunk: Trunk) -> Path:
    """Where features of this very trunk are kept in a cache folder."""
    return cache / f"features-{trunk_digest(trunk)}"


def trunk_digest(trunk: Trunk) -> str:
    """Of its weights, 12 characters: features and cells are of one trunk."""
    digest = hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in trunk.state_dict().values()))
    return digest.hexdigest()[:12]


def label(scan: Scan, volume: Volume, runner: Runner, damage: str = "") -> Labelled:
    """A volume on the grid of the scan's labels, such as the scan itself or a damaged copy."""
    conformed = conform(volume)
    features = runner(torch.from_numpy(conformed.image))
    classes = None if scan.labels is None else on_conformed(*read_classes(scan.labels), conformed)
    return Labelled(scan=scan, damage=damage, conformed=conformed, features=features, classes=classes)


def by_cell(volume: NDArray[np.uint8]) -> Tensor:
    """(2 I, 2 J, 2 K) to the cells' order, (8, I J K): the inverse of `models.predictive.unfold`."""
    i, j, k = (n // 2 for n in volume.shape)
    split = torch.from_numpy(volume).view(i, 2, j, 2, k, 2).permute(1, 3, 5, 0, 2, 4)
    return split.reshape(SUBVOXELS, -1)


def on_conformed(truth: NDArray[np.uint8], affine: NDArray[np.float64], conformed: Conformed) -> NDArray[np.uint8]:
    """Classes on the conformed grid by nearest neighbour, 0 outside. affine: of their own grid."""
    index = np.linalg.inv(affine) @ conformed.affine
    moved = ndimage.affine_transform(truth, index[:3, :3], index[:3, 3], conformed.image.shape, order=0)
    return np.asarray(moved, np.uint8)


def _write(one: Labelled, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    c = one.conformed
    arrays = {"image": c.image, "affine": c.affine, "extent": c.extent, "cut": c.cut, "snr": c.snr}
    arrays["features"] = one.features.numpy().astype(np.float16)
    if one.classes is not None:
        arrays["classes"] = one.classes
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    unfinished.replace(path)


def _read(scan: Scan, damage: str, path: Path) -> Labelled:
    with np.load(path) as kept:
        x, y, z = (int(n) for n in kept["extent"])
        conformed = Conformed(
            image=kept["image"],
            affine=kept["affine"],
            extent=(x, y, z),
            cut=tuple(bool(end) for end in kept["cut"]),
            snr=float(kept["snr"]),
        )
        classes = kept["classes"] if "classes" in kept.files else None
        features = torch.from_numpy(kept["features"].astype(np.float32))
    return Labelled(scan=scan, damage=damage, conformed=conformed, features=features, classes=classes)
