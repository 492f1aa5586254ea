"""The table of all posteriors: fitted states and labelled scans in, one row a method out.

Calibration is pooled over the scans. Selective risk is over the scans and their damaged copies, by the posterior's own
score of a case; the loss of a case is 1 - mean Dice.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from models.cells import Cells
from models.posteriors import POSTERIORS, HeadPosterior
from models.posteriors.gaussian import GaussianPosterior
from models.posteriors.point import PointPosterior
from models.posteriors.reference import compare
from models.predictive import Predictive, augment, predict
from pipelines.compare import sampled_case
from pipelines.deep_ensemble import DEEP_ENSEMBLE, Ensemble
from pipelines.engine import BRAIN_CLASSES, BundleEngine
from pipelines.labelled import Labelled
from pipelines.markdown import figure, table
from pipelines.posterior_grades import AS_FITTED, gains, grades_of, heads, per_structure, summary
from pipelines.turns import least_cpu_seconds
from triage.errors import TriageError

SPREAD_CELLS = 512
ROUNDS = 3
NETWORK, ONE_PASS = "the network", "one pass"
REFERENCE = "hmc"
BASELINE = "point"
COLUMNS: Mapping[str, str] = {
    "dice": "Dice",
    "nll": "NLL",
    "brier": "Brier",
    "ece": "ECE",
    "ace": "ACE",
    "ece_band": "ECE, band",
    "ace_band": "ACE, band",
    "error_auroc": "AUROC",
    "aurc": "AURC",
    "augrc": "AUGRC",
    "nll_damaged": "NLL, damaged",
    "sd_ratio": "SD, weights",
    "logit_sd_ratio": "SD, logits",
    "distance": "TV",
    "cost": "cost",
}
"""Key of a row -> its heading."""


def read_posteriors(folder: Path, needed: Collection[str] = ()) -> dict[str, HeadPosterior]:
    """The posteriors whose states lie in a folder as <name>.safetensors, in the order of POSTERIORS.

    Raises TriageError where one of the needed ones is not there.
    """
    paths = {name: folder / f"{name}.safetensors" for name in POSTERIORS}
    if missing := [name for name in needed if not paths[name].is_file()]:
        raise TriageError(
            f"The posteriors {', '.join(missing)} are not in {folder}.",
            do="Draw cells with `python -m pipelines.draw_cells` and fit them: `python -m pipelines.fit_posteriors "
            f"--weights BUNDLE/models/network.safetensors --cells CELLS --out {folder}`.",
        )
    return {name: POSTERIORS[name].load(load_file(path)) for name, path in paths.items() if path.is_file()}


def compare_posteriors(
    posteriors: Mapping[str, HeadPosterior],
    engine: BundleEngine,
    clean: Iterable[Labelled],
    damaged: Iterable[Labelled],
    cache: Path,
    *,
    temperatures: Mapping[str, float] = AS_FITTED,
    ensemble: Ensemble | None = None,
) -> dict[str, dict[str, Any]]:
    """A row a posterior: `summary`, cost, distance from the reference, structures, gains over the point estimate.

    clean: labelled scans. damaged: damaged copies of such. cache: a folder for what is graded. temperatures: by which
    the posteriors of these names are divided, see `models.predictive.rule`. ensemble: gets a row, too; it is over
    other features, so it has neither a distance nor a cost here.
    """
    scans = iter(clean)
    first = next(scans)
    graded = partial(grades_of, engine=engine, cache=cache, temperatures=temperatures, ensemble=ensemble)
    every = posteriors if ensemble is None else {**posteriors, DEEP_ENSEMBLE: ensemble.posterior}
    well, worse = graded(every, cases=itertools.chain([first], scans)), graded(every, cases=damaged)
    ratios = costs(posteriors, engine, first)
    widths = spreads({name: one for name, one in posteriors.items() if name not in temperatures}, engine, first)
    return {
        name: summary(well[name], worse[name])
        | widths.get(name, {})
        | {"cost": ratios.get(name), "structures": per_structure(well[name])}
        | {"gains": gains(well[name], well.get(BASELINE, well[name]))}
        for name in every
    }


def spreads(posteriors: Mapping[str, HeadPosterior], engine: BundleEngine, one: Labelled) -> dict[str, Any]:
    """Distance from the reference on some cells of a scan: median ratios of marginal SDs, and total variation."""
    if REFERENCE not in posteriors:
        return {name: {} for name in posteriors}
    case = sampled_case(one, engine, cells=SPREAD_CELLS)
    cells = Cells(
        subject=one.scan.name,
        features=case.features,
        classes=torch.from_numpy(case.classes.astype(np.int64)),
        weight=torch.ones(case.features.shape[1]),
    )
    found = {name: compare(posterior, posteriors[REFERENCE], [cells]) for name, posterior in posteriors.items()}
    return {
        name: {
            "sd_ratio": away.weight_sd_ratio[1],
            "logit_sd_ratio": away.logit_sd_ratio[1],
            "distance": away.total_variation,
        }
        for name, away in found.items()
    }


def costs(posteriors: Mapping[str, HeadPosterior], engine: BundleEngine, one: Labelled) -> dict[str, float]:
    """CPU time of a prediction with each posterior over that of one pass without samples, the network in both."""
    image, cells = torch.from_numpy(one.conformed.image), augment(one.features)
    ratio = torch.ones(len(engine.model.training_prior), cells.shape[1])
    without = PointPosterior(mean=engine.model.posterior.mean)

    def after_the_network(posterior: HeadPosterior) -> Predictive:
        drawn = heads(posterior)[: 0 if isinstance(posterior, PointPosterior) else None]
        law = posterior if isinstance(posterior, GaussianPosterior) else None
        return predict(cells, posterior.mean, drawn, ratio, BRAIN_CLASSES, law=law)

    pieces: dict[str, Callable[[], object]] = {
        NETWORK: lambda: engine.runner(image),
        ONE_PASS: partial(after_the_network, without),
    }
    pieces |= {name: partial(after_the_network, posterior) for name, posterior in posteriors.items()}
    took = least_cpu_seconds(pieces, ROUNDS)
    return {name: (took[NETWORK] + took[name]) / (took[NETWORK] + took[ONE_PASS]) for name in posteriors}


def as_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, one row a posterior."""
    return table(
        ["posterior", *COLUMNS.values()],
        [
            [f"`{name}`", *(figure(row.get(key), 4 if key in {"aurc", "augrc", "distance"} else 3) for key in COLUMNS)]
            for name, row in rows.items()
        ],
    )
