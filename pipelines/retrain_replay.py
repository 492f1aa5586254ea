"""The replay of a trunk: cells of synthetic images, so that a head that is corrected forgets nothing.

  python -m pipelines.retrain_replay --bundle models/shipped --cells cells/

keeps a share of what `pipelines.draw_cells` wrote in models/replay. Cells are of one trunk, and a head that was moved
keeps its trunk: that file serves every bundle that was retrained from the shipped one. For another trunk, or from other
label maps, cells are drawn once and kept.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from models.bundle import read_network
from models.cells import Cells, read_cells, write_cells
from models.label_maps import LabelMap, read_label_maps
from models.synthesis import LesionShape, read_lesion_shapes
from models.training import seed_of
from pipelines.atlas_label_maps import atlas_label_maps
from pipelines.draw_cells import CELLS
from pipelines.draw_cells import draw as draw_images
from pipelines.labelled import trunk_digest
from pipelines.retrain_cells import some
from pipelines.retrain_job import Job
from triage.anatomy import N_CLASSES

REPLAY = Path(__file__).resolve().parent.parent / "models" / "replay"
"""One file a trunk, named by the trunk's digest."""
SHARE = 0.2
"""Of the cells that the shipped posterior was fitted on: a tenth moved the head to the same Dice within .0002."""


def replay_of(job: Job) -> list[Cells]:
    """The synthetic cells of the job's trunk: those that came with the program, unless label maps are given."""
    shipped = REPLAY / f"{trunk_digest(job.net.trunk)}.safetensors"
    if job.label_maps is None and shipped.is_file():
        return read_cells(shipped)
    path = _drawn(job)
    if not path.is_file():
        _draw(job, path)
    return read_cells(path)


def read_pooled(job: Job) -> NDArray[np.float64]:
    """(n, D) pooled features of the images that were drawn for this trunk."""
    return np.asarray(load_file(_pooled(_drawn(job)))["pooled"].double().numpy())


def label_maps_of(job: Job) -> tuple[list[LabelMap], list[LesionShape]]:
    """What to synthesise from: the given label maps and lesions, else the atlas bent into some heads."""
    maps = read_label_maps(job.label_maps) if job.label_maps else atlas_label_maps(job.options.maps)
    return list(maps), read_lesion_shapes(job.lesion_masks) if job.lesion_masks else []


def evenly(cells: Cells, share: float, seed: int) -> Cells:
    """That share of the cells, each standing for as many more."""
    n = cells.features.shape[1]
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    kept = some(cells, order[: max(1, round(share * n))])
    return replace(kept, weight=kept.weight * n / kept.features.shape[1])


def _draw(job: Job, path: Path) -> None:
    maps, shapes = label_maps_of(job)
    options = job.options
    drawn = list(
        draw_images(maps, shapes, head=job.net.linear_head, runner=job.runner, images=options.images, seed=options.seed)
    )
    save_file({"pooled": torch.stack([one.pooled for one in drawn if one.pooled is not None])}, _pooled(path))
    unfinished = path.with_name(f".{path.name}")
    write_cells(unfinished, [one.cells for one in drawn])
    unfinished.replace(path)


def _drawn(job: Job) -> Path:
    """Named by all that decides what is drawn."""
    options = job.options
    given = (job.datasets[name]["sha256"][:12] for name in ("label_maps", "lesion_masks") if name in job.datasets)
    told = (trunk_digest(job.net.trunk), *given, f"{options.maps}x{options.images}", str(options.seed))
    return job.state / f"replay-{'-'.join(told)}.safetensors"


def _pooled(path: Path) -> Path:
    return path.with_suffix(".pooled.safetensors")


def main(arguments: Sequence[str] | None = None) -> None:
    """Keep a share of drawn cells as the replay of a bundle's trunk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True, help="folder written by pipelines.draw_cells")
    parser.add_argument("--out", type=Path, default=REPLAY)
    args = parser.parse_args(arguments)
    path = args.out / f"{trunk_digest(read_network(args.bundle, N_CLASSES).trunk)}.safetensors"
    images = read_cells(args.cells / CELLS)
    write_cells(path, [evenly(cells, SHARE, seed_of(number)) for number, cells in enumerate(images)])
    print(path)


if __name__ == "__main__":
    main()
