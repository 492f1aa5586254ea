"""The table of all posteriors: fitted states and labelled scans in, one row a method out.

Calibration is pooled over the scans. Selective risk is over the scans and their damaged copies, by the posterior's own
score of a case; the loss of a case is 1 - mean Dice.
"""

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
from models.predictive import augment, predict
from pipelines.compare import (
    GRADED,
    Grades,
    grade,
    pooled,
    predictive,
    read_grades,
    sampled_case,
    segmenter_digest,
    write_grades,
)
from pipelines.deep_ensemble import DEEP_ENSEMBLE, Ensemble
from pipelines.engine import BRAIN_CLASSES, SAMPLES, BundleEngine
from pipelines.labelled import Labelled, copy_name
from pipelines.markdown import figure, table
from pipelines.metrics import (
    adaptive_calibration_error,
    augrc,
    aurc,
    expected_calibration_error,
    spearman,
    subject_interval,
)
from pipelines.turns import cpu_seconds
from triage.errors import TriageError

SEED = 0
BOOTSTRAPS = 200
SPREAD_CELLS = 512
REFERENCE = "hmc"
BASELINE = "point"
AS_FITTED: Mapping[str, float] = {}
"""No posterior is divided by a temperature."""
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


def grades_of(
    posteriors: Mapping[str, HeadPosterior],
    engine: BundleEngine,
    cases: Iterable[Labelled],
    cache: Path,
    *,
    temperatures: Mapping[str, float] = AS_FITTED,
    ensemble: Ensemble | None = None,
) -> dict[str, list[Grades]]:
    """Every posterior on every labelled case; what was graded before, with the same states, is read from the cache."""
    found: dict[str, list[Grades]] = {name: [] for name in posteriors}
    origin = segmenter_digest(engine)
    divided = {name: temperatures.get(name, 1.0) for name in posteriors}
    digests = {name: _join(origin, _digest(one), repr(divided[name])) for name, one in posteriors.items()}
    kept = {name: cache / "grades" / f"{name}-{digest}" for name, digest in digests.items()}
    for one in cases:
        files = {name: folder / f"{copy_name(one.scan, one.damage)}.npz" for name, folder in kept.items()}
        missing = [name for name, file in files.items() if not file.is_file()]
        if missing:
            case = sampled_case(one, engine)
            for name in missing:
                seen, drawn = case, heads(posteriors[name])
                if ensemble and name == DEEP_ENSEMBLE:
                    seen, drawn = ensemble.see(case, one), ensemble.posterior.heads
                p = predictive(seen, drawn, temperature=divided[name])
                write_grades(files[name], grade(case, p))
        for name, file in files.items():
            found[name].append(read_grades(file))
    return found


def heads(posterior: HeadPosterior) -> torch.Tensor:
    """What a prediction is averaged over, (S, 8 C, F + 1)."""
    return posterior.mean[None] if isinstance(posterior, PointPosterior) else posterior.sample(SAMPLES, seed=SEED)


def summary(clean: Sequence[Grades], damaged: Sequence[Grades]) -> dict[str, float]:
    """A row: means over the clean cases, calibration pooled over them, selective risk over all."""
    score = np.array([one.score for one in (*clean, *damaged)])
    loss = np.array([one.loss for one in (*clean, *damaged)])
    known = np.isfinite(score)  # no brain found: the case is sent to a human, whatever its score
    return {
        "dice": 1 - float(np.mean([one.loss for one in clean])),
        "nll": mean_nll(clean),
        "brier": float(np.mean([one.brier for one in clean])),
        "ece": calibration(clean, "around", expected_calibration_error),
        "ace": calibration(clean, "around", adaptive_calibration_error),
        "ece_band": calibration(clean, "band", expected_calibration_error),
        "ace_band": calibration(clean, "band", adaptive_calibration_error),
        "error_auroc": float(np.mean([one.error_auroc for one in clean])),
        "aurc": aurc(score[known], loss[known]),
        "augrc": augrc(score[known], loss[known]),
        "spearman": spearman(score[known], loss[known]),
        "nll_damaged": mean_nll(damaged) if damaged else float("nan"),
    }


def per_structure(clean: Sequence[Grades]) -> dict[str, dict[str, float]]:
    """Dice, ECE and ACE of each structure, around it and in its boundary band."""
    dice = np.nanmean([one.dice for one in clean], axis=0)
    around, band = pooled(clean, "around"), pooled(clean, "band")
    return {
        key: {
            "dice": float(dice[k]),
            "ece": expected_calibration_error(around[k]),
            "ace": adaptive_calibration_error(around[k]),
            "ece_band": expected_calibration_error(band[k]),
            "ace_band": adaptive_calibration_error(band[k]),
        }
        for k, key in enumerate(GRADED)
    }


def gains(these: Sequence[Grades], those: Sequence[Grades]) -> dict[str, list[float]]:
    """Differences over the same scans, each with its 95 % interval over scans drawn again: value, low, high."""
    pairs = list(zip(these, those, strict=True))
    figures: Mapping[str, Callable[[Sequence[Grades]], float]] = {
        "nll": mean_nll,
        "ece_band": lambda cases: calibration(cases, "band", expected_calibration_error),
        "error_auroc": lambda cases: float(np.mean([one.error_auroc for one in cases])),
    }

    def difference(drawn: Sequence[tuple[Grades, Grades]], of: Callable[[Sequence[Grades]], float]) -> float:
        return of([a for a, _ in drawn]) - of([b for _, b in drawn])

    return {
        name: [difference(pairs, of), *subject_interval(pairs, partial(difference, of=of), n=BOOTSTRAPS)]
        for name, of in figures.items()
    }


def mean_nll(cases: Sequence[Grades]) -> float:
    """Mean over cases, nats a voxel."""
    return float(np.mean([one.nll for one in cases]))


def calibration(cases: Sequence[Grades], which: str, error: Callable[..., float]) -> float:
    """Mean over structures of a calibration error pooled over cases."""
    return float(np.mean([error(one) for one in pooled(cases, which)]))


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
    """CPU time of a prediction with each posterior over that of one pass without samples, the network in both.

    What comes after the network is timed on every second cell along each axis, an eighth of them.
    """
    _, network_s = cpu_seconds(lambda: engine.runner(torch.from_numpy(one.conformed.image)))
    cells = augment(one.features[:, ::2, ::2, ::2])
    ratio = torch.ones(len(engine.model.training_prior), cells.shape[1])

    def seconds(posterior: HeadPosterior) -> float:
        drawn = heads(posterior)[: 0 if isinstance(posterior, PointPosterior) else None]
        law = posterior if isinstance(posterior, GaussianPosterior) else None
        _, took = cpu_seconds(lambda: predict(cells, posterior.mean, drawn, ratio, BRAIN_CLASSES, law=law))
        return network_s / 8 + took

    once = PointPosterior(mean=engine.model.posterior.mean)
    seconds(once)  # the first is slower
    single = seconds(once)
    return {name: seconds(posterior) / single for name, posterior in posteriors.items()}


def as_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, one row a posterior."""
    return table(
        ["posterior", *COLUMNS.values()],
        [
            [f"`{name}`", *(figure(row.get(key), 4 if key in {"aurc", "augrc", "distance"} else 3) for key in COLUMNS)]
            for name, row in rows.items()
        ],
    )


def _digest(posterior: HeadPosterior) -> str:
    return _join(*(f"{name} {tensor.numpy().tobytes().hex()}" for name, tensor in sorted(posterior.state.items())))


def _join(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
