"""Fit the exponents of the anatomical prior, the temperature and the classes' offsets on labelled tune scans.

  python -m pipelines.fit_prior --cases cases.csv --bundle models/shipped --cache out/bench

Minimises the negative log-likelihood of the labels among the brain's classes, each subject with the same weight (see
`models.priors.exponent`). Two habits of labels would pass for doubt: where brain ends (protocols put sulcal CSF into
the grey matter), so only what is labelled brain counts; and labels that another network made at 2 mm, half of whose
border voxels are wrong at 1 mm, so the fit is to manual labels. What the automatic labels would ask for is printed.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models import bundle as files
from models.network import SUBVOXELS
from models.predictive import augment
from models.priors.exponent import (
    FREE,
    WITHOUT_PRIOR,
    Choices,
    Exponents,
    fit,
    jackknife_error,
    mean_loss,
    with_offsets,
)
from pipelines.engine import BundleEngine, coarser, load_engine
from pipelines.labelled import Labelled, by_cell, features_folder, labelled
from pipelines.scans import read_scans
from triage.anatomy import BRAIN, LESION

CELLS = 5_000
"""Cells of a scan, about 35,000 voxels; between 8,000 and 20,000 cells beta moved by 0.001."""
HEALTHY_BRAIN = slice(min(BRAIN), LESION)
PROFILE = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)


def main() -> None:
    """Fit, print, write what was fitted into the bundle and seal it again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--cache", type=Path, help="folder that keeps the trunk's features")
    args = parser.parse_args()
    path = args.bundle / files.METADATA
    metadata = json.loads(path.read_text())
    kept = metadata["brain_triage"]
    frequency = torch.tensor(kept["training_prior"])
    engine = load_engine(args.bundle)
    features = features_folder(args.cache, engine.model.trunk) if args.cache else None
    scans = [scan for scan in read_scans(args.cases, ["tune"]) if scan.labels]
    generator = torch.Generator().manual_seed(0)
    manual: list[Choices] = []
    automatic: list[Choices] = []
    for one in labelled(scans, engine.runner, features):
        (manual if one.scan.manual else automatic).append(choices(one, engine, frequency, generator))
    found = describe("manual", manual)
    if automatic:
        describe("automatic", automatic)
    keep(kept, found.pop("exponents"))
    kept["prior_fit"] = found
    files.write_metadata(path, metadata)
    print(f"bundle {files.seal(args.bundle)}")


def keep(settings: dict[str, Any], found: Exponents) -> None:
    """Put what was fitted into a bundle's settings. The posterior is divided by the temperature that stood there."""
    settings["beta"], settings["training_prior_exponent"] = found.beta, found.gamma
    settings["temperature"] *= found.temperature
    offsets = np.zeros(LESION)
    offsets[HEALTHY_BRAIN] = found.offsets
    settings["class_offsets"] = offsets.round(4).tolist()


def fit_all(subjects: Sequence[Choices]) -> tuple[Exponents, float]:
    """Exponents, temperature and offsets of these subjects, and nats a voxel."""
    theta, nll = fit(subjects, with_offsets(subjects))
    return Exponents.at(theta), nll


def choices(one: Labelled, engine: BundleEngine, frequency: Tensor, generator: torch.Generator) -> Choices:
    """Labelled brain voxels of some cells of a scan, with the atlas at the pose that the engine finds."""
    assert one.classes is not None
    pose, _, _ = engine.locate(one.features, one.conformed)
    affine = pose.affine @ coarser(one.conformed.affine, 2, centre=0.5)
    atlas = engine.model.atlas.on_grid(one.features.shape[1:], affine)
    cells = some_cells(by_cell(one.classes), generator)
    logits = (engine.model.posterior.mean @ augment(one.features)[:, cells]).view(-1, SUBVOXELS, len(cells))
    return of_cells(logits, by_cell(one.classes)[:, cells], atlas.flatten(1)[:, cells], frequency)


def some_cells(classes: Tensor, generator: torch.Generator) -> Tensor:
    """Indices of up to CELLS cells that hold healthy brain. classes: (8, N)."""
    inside = _counted(classes).any(dim=0).nonzero()[:, 0]
    return inside[torch.randperm(len(inside), generator=generator)[:CELLS]]


def of_cells(logits: Tensor, classes: Tensor, atlas: Tensor, frequency: Tensor) -> Choices:
    """Each voxel of healthy brain once.

    logits: (C, m, n), of m voxels a cell. classes: (m, n). atlas: (H, n), of the cells. frequency: (H,).
    """
    counted = _counted(classes)
    return Choices.of(
        logits[HEALTHY_BRAIN][:, counted],
        atlas[HEALTHY_BRAIN, None].expand(-1, len(classes), -1)[:, counted],
        frequency[HEALTHY_BRAIN],
        classes[counted].long() - HEALTHY_BRAIN.start,
    )


def _counted(classes: Tensor) -> Tensor:
    return (classes >= HEALTHY_BRAIN.start) & (classes < HEALTHY_BRAIN.stop)


def describe(name: str, subjects: Sequence[Choices]) -> dict[str, Any]:
    """Fit to these subjects and print it: estimates, their standard errors, and the profile of beta."""
    found, nll = fit_all(subjects)
    _, without_offsets = fit(subjects)
    _, only_temperature = fit(subjects, WITHOUT_PRIOR)
    neither, _ = mean_loss(np.array([1.0, 0, 0]), subjects)
    temperature_error, beta_error, *offset_errors = (float(error) for error in jackknife_error(subjects, _estimates))
    print(f"{name} labels, {len(subjects)} subjects:")
    print(f"  temperature {found.temperature:.3f} +- {temperature_error:.3f} times the bundle's own")
    print(f"  beta {found.beta:.3f} +- {beta_error:.3f}, gamma {found.gamma:.2f}")
    pairs = zip(found.offsets, offset_errors, strict=True)
    print("  offsets, nats: " + "  ".join(f"{offset:+.2f} +- {error:.2f}" for offset, error in pairs))
    print(
        f"  nats a voxel: {nll:.4f}; without offsets {without_offsets:.4f}; "
        f"with a temperature alone {only_temperature:.4f}; with nothing {neither:.4f}"
    )
    profile = [(beta, fit(subjects, at_beta(beta, found))[1]) for beta in PROFILE]
    print("  at beta " + "  ".join(f"{beta}: {value:.4f}" for beta, value in profile), flush=True)
    return {
        "exponents": found,
        "subjects": len(subjects),
        "nll": nll,
        "nll_without_offsets": without_offsets,
        "nll_without_prior": only_temperature,
        "temperature_error": temperature_error,
        "beta_error": beta_error,
        "offset_errors": offset_errors,
    }


def at_beta(beta: float, found: Exponents) -> list[tuple[float, float]]:
    """Bounds that leave only the temperature free."""
    u, v = beta * (1 - found.gamma), beta * found.gamma
    return [FREE[0], (u, u), (v, v), *((offset, offset) for offset in found.offsets)]


def _estimates(subjects: Sequence[Choices]) -> NDArray[np.float64]:
    found, _ = fit_all(subjects)
    return np.array([found.temperature, found.beta, *found.offsets])


if __name__ == "__main__":
    main()
