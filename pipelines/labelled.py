"""Labelled scans ready to measure on: conformed, with the trunk's features, each computed once and kept on disk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from models.network import SUBVOXELS
from models.runtime import Runner
from pipelines.evaluate import NEUROMORPHOMETRICS, Scan, read_nifti
from pipelines.preprocess import Conformed, conform
from triage.case import Volume


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """features: (F, I, J, K) float32, cells of 2 mm. classes: (X, Y, Z) uint8 on the conformed grid, or None."""

    scan: Scan
    conformed: Conformed
    features: Tensor
    classes: NDArray[np.uint8] | None


def labelled(scans: Iterable[Scan], runner: Runner, cache: Path | None = None) -> Iterator[Labelled]:
    """Every scan as it is on disk, in order. cache: a folder for this trunk's features (half precision)."""
    for scan in scans:
        kept = cache / f"{scan.name}.npz" if cache else None
        if kept is not None and kept.is_file():
            yield _read(scan, kept)
            continue
        one = label(scan, read_nifti(scan.t1), runner)
        if kept is not None:
            _write(one, kept)
        yield one


def label(scan: Scan, volume: Volume, runner: Runner) -> Labelled:
    """A volume on the grid of the scan's labels, such as the scan itself or a degraded copy."""
    conformed = conform(volume)
    features = runner(torch.from_numpy(conformed.image))
    return Labelled(scan=scan, conformed=conformed, features=features, classes=_classes(scan, conformed))


def by_cell(volume: NDArray[np.uint8]) -> Tensor:
    """(2 I, 2 J, 2 K) to the cells' order, (8, I J K): the inverse of `models.predictive.unfold`."""
    i, j, k = (n // 2 for n in volume.shape)
    split = torch.from_numpy(volume).view(i, 2, j, 2, k, 2).permute(1, 3, 5, 0, 2, 4)
    return split.reshape(SUBVOXELS, -1)


def _classes(scan: Scan, conformed: Conformed) -> NDArray[np.uint8] | None:
    """Classes on the conformed grid by nearest neighbour, 0 outside."""
    if scan.labels is None:
        return None
    image = nib.load(scan.labels)
    truth = NEUROMORPHOMETRICS[np.asarray(image.dataobj).astype(np.int64)]
    index = np.linalg.inv(image.affine) @ conformed.affine
    moved = ndimage.affine_transform(truth, index[:3, :3], index[:3, 3], conformed.image.shape, order=0)
    return np.asarray(moved, np.uint8)


def _write(one: Labelled, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    c = one.conformed
    arrays = {"image": c.image, "affine": c.affine, "extent": c.extent, "cut": c.cut, "snr": c.snr}
    arrays["features"] = one.features.numpy().astype(np.float16)
    if one.classes is not None:
        arrays["classes"] = one.classes
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _read(scan: Scan, path: Path) -> Labelled:
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
    return Labelled(scan=scan, conformed=conformed, features=features, classes=classes)
