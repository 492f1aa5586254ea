"""With and without the prior on the same scans: clean, noisy, thick slices; heads of few and of many label maps."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from models.cells import read_cells
from models.priors.exponent import FREE, WITHOUT_PRIOR, Bounds, Exponents, fit, with_offsets
from pipelines.bench.page import Inputs, kept
from pipelines.bench.prior_heads import DRAWS, drawn_heads
from pipelines.bench.prior_scenes import Scene, grade, scenes
from pipelines.compare import segmenter_digest
from pipelines.degrade import DEGRADATIONS
from pipelines.draw_cells import CELLS
from pipelines.engine import BundleEngine
from pipelines.fit_prior import at_beta
from pipelines.labelled import SEED, Labelled, features_folder, kept_copy, labelled
from pipelines.scans import Scan, read_nifti
from triage.case import Volume

CONDITIONS = ("", "noise 4", "thick_slices 4")
"""Kind and level of damage, as in `pipelines.degrade`; none first."""
AS_IN_TRAINING: Bounds = (FREE[0], (0.0, 0.0), FREE[2])
"""gamma held at 1."""
BLURS_MM = (2.0, 3.0)


def measure_worth(inputs: Inputs, engine: BundleEngine, frequency: Tensor, scans: Sequence[Scan]) -> dict[str, Any]:
    """Of each condition, what was fitted on the manual tune scans under it and a row a scan; see `compared`."""
    folder = inputs.cache / "prior" / segmenter_digest(engine)
    features = features_folder(inputs.cache, engine.model.trunk)

    def rows(condition: str, usual: Exponents | None) -> dict[str, Any]:
        copies = (_copy(scan, condition, engine, features) for scan in scans)
        return compared([scenes(one, engine, [engine.model.atlas])[0] for one in copies], frequency, usual)

    def kept_rows(condition: str, usual: Exponents | None) -> dict[str, Any]:
        path = folder / f"worth-{condition.replace(' ', '-') or 'clean'}.json"
        return dict(kept(path, lambda: rows(condition, usual)))

    return in_every_condition(kept_rows)


def in_every_condition(rows: Callable[[str, Exponents | None], dict[str, Any]]) -> dict[str, Any]:
    """`rows` of each condition; all but the clean one are given what was fitted with the prior on the clean scans."""
    found: dict[str, Any] = {}
    for condition in CONDITIONS:
        usual = Exponents(**found[CONDITIONS[0]]["fits"]["prior"]) if found else None
        found[condition] = rows(condition, usual)
    return found


def compared(scenes: Sequence[Scene], frequency: Tensor, usual: Exponents | None) -> dict[str, Any]:
    """Fits on the manual tune scans, and all scans graded under each.

    none: a temperature alone. prior: temperature, beta and gamma. usual: a temperature of its own at the beta and gamma
    that were fitted elsewhere.
    """
    tuned = [one.choices(frequency) for one in scenes if one.split == "tune" and one.manual]
    bounds = {"none": WITHOUT_PRIOR, "prior": FREE}
    if usual is not None:
        bounds["usual"] = at_beta(usual.beta, usual)
    fits = {name: Exponents.at(fit(tuned, bound)[0]) for name, bound in bounds.items()}
    return {
        "fits": {name: {k: getattr(e, k) for k in ("temperature", "beta", "gamma")} for name, e in fits.items()},
        "rows": {name: grade(scenes, exponents, frequency) for name, exponents in fits.items()},
    }


def measure_variants(inputs: Inputs, engine: BundleEngine, frequency: Tensor, scans: Sequence[Scan]) -> dict[str, Any]:
    """Loss on the tune split of other choices: what the likelihood is weighed by, and how blurred the atlas is."""
    folder = inputs.cache / "prior" / segmenter_digest(engine)
    features = features_folder(inputs.cache, engine.model.trunk)

    def losses() -> list[dict[str, Any]]:
        atlases = {0.0: engine.model.atlas} | {sd: engine.model.atlas.blurred(sd) for sd in BLURS_MM}
        seen = [scenes(one, engine, list(atlases.values())) for one in labelled(scans, engine.runner, features)]
        kinds: dict[str, tuple[float, Bounds | None]] = {
            "no prior": (0.0, WITHOUT_PRIOR),
            "gamma 1": (0.0, AS_IN_TRAINING),
            "gamma fitted": (0.0, FREE),
            **{f"gamma fitted, blurred by {sd:g} mm more": (sd, FREE) for sd in BLURS_MM},
            "an offset for every class": (0.0, None),
        }
        rows = []
        for (name, (sd, bounds)), manual in itertools.product(kinds.items(), (True, False)):
            ones = [some[list(atlases).index(sd)] for some in seen]
            chosen = [one.choices(frequency) for one in ones if one.manual == manual]
            theta, nll = fit(chosen, bounds or with_offsets(chosen))
            e = Exponents.at(theta)
            rows.append({"name": name, "manual": manual, "nll": nll, "beta": e.beta, "gamma": e.gamma})
        return rows

    return {"variants": kept(folder / "variants.json", losses)}


def measure_heads(inputs: Inputs, engine: BundleEngine, frequency: Tensor, scans: Sequence[Scan]) -> dict[str, Any]:
    """Heads fitted on 1 to 20 label maps, several draws of each number, each with its own temperature and exponents."""

    def draws() -> dict[str, Any]:
        images = read_cells(inputs.cache / CELLS)
        heads = {n: drawn_heads(images, n) for n in DRAWS}
        features = features_folder(inputs.cache, engine.model.trunk)
        every = list(itertools.chain(*heads.values()))
        seen = [scenes(one, engine, [engine.model.atlas], every) for one in labelled(scans, engine.runner, features)]
        found = iter([compared(of_one, frequency, None) for of_one in zip(*seen, strict=True)])
        return {str(n): [next(found) for _ in some] for n, some in heads.items()}

    found = kept(inputs.cache / "prior" / segmenter_digest(engine) / "heads.json", draws)
    return {"bundle": f"{engine.bundle.name} {engine.bundle.version}", "draws": found}


def _copy(scan: Scan, condition: str, engine: BundleEngine, features: Path) -> Labelled:
    return kept_copy(scan, condition, lambda: volume_of(scan, condition), engine.runner, features)


def volume_of(scan: Scan, condition: str) -> Volume:
    """The scan, damaged in this way."""
    volume = read_nifti(scan.t1)
    if not condition:
        return volume
    kind, level = condition.split()
    return DEGRADATIONS[kind](volume, int(level), np.random.default_rng(SEED))
