"""Build a bundle from network weights, label maps and cells: atlas, lesion's weights, posterior, feature density.

  python -m pipelines.build_bundle --weights W.safetensors --label-maps MAPS.npz --cells CELLS/ \\
      --out models/shipped

CELLS/ is what `pipelines.draw_cells` wrote with the same weights and label maps; no real scan is read.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from models import bundle as files
from models.cells import read_cells
from models.density import fit_density
from models.label_maps import LabelMap, read_label_maps
from models.network import SegmentationNet
from models.posteriors import POSTERIORS
from models.posteriors.lesion import refit_lesion
from models.priors.build import build_atlas
from pipelines.draw_cells import CELLS, POOLED
from triage.anatomy import N_CLASSES, STRUCTURES, TISSUES


def main() -> None:
    """Parse, build, seal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--label-maps", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=Path, required=True, help="folder written by pipelines.draw_cells")
    parser.add_argument("--posterior", choices=POSTERIORS, default="subject_bootstrap")
    parser.add_argument("--name", default="brain-triage-spike")
    parser.add_argument("--version", default="0.3.0")
    args = parser.parse_args()
    build(**vars(args))


def build(*, weights: Path, label_maps: Path, cells: Path, out: Path, posterior: str, name: str, version: str) -> None:
    """Fill the folder `out`. What others fitted stays: limits of the gate, exponents, temperature, classifier."""
    net = SegmentationNet(N_CLASSES)
    state = {k: v.float() for k, v in load_file(weights).items()}
    net.load_state_dict(state)
    maps, images = list(read_label_maps(label_maps)), read_cells(cells / CELLS)
    temperature = _kept(out).get("temperature", 1.0)  # the lesion is told from the rest as it leaves the rest
    head = refit_lesion(net.linear_head / temperature, images) * temperature
    state |= {"head.weight": head[:, :-1, None, None, None], "head.bias": head[:, -1]}
    files.write_tensors(out / files.NETWORK, state, half=True)
    if not (out / files.ATLAS).is_file():
        files.write_atlas(out / files.ATLAS, build_atlas(maps, TISSUES, N_CLASSES - 1))
    fitted = POSTERIORS[posterior].fit(head, images)
    files.write_tensors(out / files.POSTERIOR, fitted.state, half=True)
    density = fit_density(load_file(cells / POOLED)["pooled"].double().numpy())
    files.write_tensors(out / files.DENSITY, {"mean": density.mean, "whitening": density.whitening})
    _write_metadata(out, maps, posterior, name, version)
    files.seal(out)


def _kept(out: Path) -> dict[str, Any]:
    """Settings of the bundle that is there already, if one is."""
    path = out / files.METADATA
    return dict(json.loads(path.read_text())["brain_triage"]) if path.is_file() else {}


def _write_metadata(out: Path, maps: list[LabelMap], posterior: str, name: str, version: str) -> None:
    kept = _kept(out)
    every = [np.bincount(m.classes.ravel(), minlength=N_CLASSES)[: N_CLASSES - 1] for m in maps]
    counts = np.sum(every, axis=0)
    files.write_metadata(
        out / files.METADATA,
        {
            "name": name,
            "version": version,
            "task": "Bayesian segmentation of brain tissues and structures in structural MRI",
            "description": "Trained only on images synthesised from label maps. Research use only.",
            "network_data_format": {
                "inputs": {"image": {"type": "image", "format": "magnitude", "modality": "MR", "num_channels": 1}},
                "outputs": {"pred": {"type": "probabilities", "format": "segmentation", "num_channels": N_CLASSES}},
            },
            "brain_triage": {"training_prior_exponent": 1.0, "beta": 0.0, "temperature": 1.0}
            | kept
            | {
                "classes": ["background", *(s.key for s in STRUCTURES)],
                "posterior": posterior,
                "training_prior": (counts / counts.sum()).tolist(),
            },
        },
    )


if __name__ == "__main__":
    main()
