"""Posteriors graded on labelled cases, each once, and what the grades of one come to."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from models.posteriors import HeadPosterior
from models.posteriors.point import PointPosterior
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
from pipelines.engine import SAMPLES, BundleEngine
from pipelines.labelled import Labelled, copy_name
from pipelines.metrics import (
    adaptive_calibration_error,
    augrc,
    aurc,
    expected_calibration_error,
    spearman,
    subject_interval,
)

SEED = 0
BOOTSTRAPS = 200
AS_FITTED: Mapping[str, float] = {}
"""No posterior is divided by a temperature."""


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


def _digest(posterior: HeadPosterior) -> str:
    return _join(*(f"{name} {tensor.numpy().tobytes().hex()}" for name, tensor in sorted(posterior.state.items())))


def _join(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
