"""What 32 samples cost over one pass, and how near quasi-random logits come to thousands of heads drawn at random."""

import math
import os
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.network import SUBVOXELS
from models.posteriors import HeadPosterior
from models.posteriors.gaussian import GaussianPosterior
from models.predictive import HELD, POINTS, Predictive, augment, fused, predict, with_moments
from models.predictive.rule import shifted
from pipelines.bench.image_affine import mni_t1
from pipelines.bench.page import COLOURS, Bench, Inputs, Results, plot, run, table
from pipelines.engine import BRAIN_CLASSES, SAMPLES, BundleEngine, load_engine
from pipelines.labelled import Labelled, features_folder, label, labelled
from pipelines.scans import Scan, read_scans
from pipelines.turns import least_cpu_seconds
from triage.case import Volume

CASE = "malf_1000"
"""A scan of the tune split; without the data the MNI152 template, which comes with the nilearn wheel."""
ROUNDS = 7
CELLS = 200
REFERENCE = 400_000
"""So many that their error is a sixth of that of the most heads drawn for a comparison."""
PLAIN = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 10_000)
REPLICATES = 3
BATCH = 16
VARIANTS: Mapping[str, dict[str, float]] = {
    "quasi-random": {"points": POINTS, "held": HELD},
    "finer": {"points": POINTS, "held": 1.8e-3},
    "finest": {"points": POINTS, "held": 5e-4},
}
PAGE = """# The predictive: many models in little time

{machine}. {case}, {cells:,} cells of 2 mm; the posterior of {bundle}
({law}). Quasi-random ways take it as a Gaussian, its own or the one with the moments of the {samples} heads.

## Cost over one deterministic pass

A pass is the OpenVINO trunk, the mean head and the prior on every voxel. CPU seconds of the process over all its
threads, the least of {rounds} rounds in turns: what else a machine does only adds to them.

{costs}
{budget}

Volumes and overlap are always from the {samples} whole heads, on surveyed cells. Drawing heads one by one on every
voxel costs {naive:.2f} passes a head: 10,000 would cost {naive_many:,.0f}.

## Error

![Error against the number of heads or points, and against cost](predictive.png)

Root mean square over the voxels of {subset} cells of the brain, against {reference:,} heads drawn at random from that
Gaussian, all classes and all voxels. Models: how many heads drawn at random have that error of the entropy, by the
fitted line error = a / sqrt(N).

{errors}
`held` is the probability below which a class keeps its point value (`models/predictive/point.py`); what that leaves out
of the entropy is measured on the surveyed cells and added. All quasi-random ways have the same points: what is left of
their error is of the classes held. The lesion's logit has up to ten times the spread of the others far from the
training images, where points of equal weight miss its tail; it has Gauss and Hermite's nodes instead
(`models/predictive/draws.py`).

`python -m pipelines.bench.predictive`
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """features: (F + 1, N). ratio: (H, N). temperature: of the heads, see `models.predictive.rule`."""

    features: Tensor
    ratio: Tensor
    temperature: float


def measure(inputs: Inputs) -> Results:
    """Cost on a whole scan, error on some of its cells."""
    engine = load_engine(inputs.bundle)
    posterior = engine.model.posterior
    one = case_of(inputs, engine)
    image = image_of(one, engine)
    voxels = torch.from_numpy(one.conformed.image)
    heads = posterior.sample(SAMPLES, seed=0)
    law = posterior if isinstance(posterior, GaussianPosterior) else with_moments(posterior.mean, heads)
    some = brain_cells(image, posterior.mean)
    return {
        "bundle": f"{engine.bundle.name} {engine.bundle.version}",
        "machine": f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads",
        "case": one.scan.name,
        "law": type(posterior).__name__,
        "cells": image.features.shape[1],
        "cost_s": costs(image, law, heads, lambda: engine.runner(voxels)),
        "errors": errors(some, law, posterior),
    }


def case_of(inputs: Inputs, engine: BundleEngine) -> Labelled:
    """A real scan, or the template where there is none."""
    if not inputs.cases.is_file():
        array, affine = mni_t1()
        template = Scan(name="MNI152 template", split="none", finding="", t1=Path(), labels=None, manual=False)
        return label(template, Volume(array=array, affine=affine), engine.runner)
    (scan,) = (scan for scan in read_scans(inputs.cases, ["tune"]) if scan.name == CASE)
    return next(labelled([scan], engine.runner, features_folder(inputs.cache, engine.model.trunk)))


def image_of(one: Labelled, engine: BundleEngine) -> Image:
    """Its features with the prior at its pose."""
    ratio = engine.find_anatomy(one.features, one.conformed).ratio
    return Image(features=augment(one.features), ratio=ratio, temperature=engine.model.temperature)


def brain_cells(image: Image, head: Tensor) -> Image:
    """CELLS random cells that may hold brain."""
    chosen = torch.randperm(image.features.shape[1], generator=torch.Generator().manual_seed(0))[: 40 * CELLS]
    p = torch.softmax((head @ image.features[:, chosen]).view(len(BRAIN_CLASSES), SUBVOXELS, -1), dim=0)
    inside = chosen[p[BRAIN_CLASSES].sum(dim=0).amax(dim=0) > 0.5][:CELLS]
    features, ratio = (whole[:, inside].contiguous() for whole in (image.features, image.ratio))
    return Image(features=features, ratio=ratio, temperature=image.temperature)


def costs(image: Image, law: GaussianPosterior, heads: Tensor, network: Any) -> dict[str, float]:
    """CPU seconds of each piece."""

    def maps(samples: Tensor, **options: Any) -> Predictive:
        t = image.temperature
        return predict(image.features, law.mean, samples, image.ratio, BRAIN_CLASSES, temperature=t, **options)

    pieces = {"trunk": network, "mean head": lambda: maps(heads[:0]), "heads": lambda: maps(heads)}
    pieces |= {name: _bound(maps, heads, law, options) for name, options in VARIANTS.items()}
    return least_cpu_seconds(pieces, ROUNDS)


def _bound(maps: Any, heads: Tensor, law: GaussianPosterior, options: dict[str, float]) -> Any:
    return lambda: maps(heads, law=law, **options)


def errors(image: Image, law: GaussianPosterior, posterior: HeadPosterior) -> list[dict[str, Any]]:
    """A row a way: RMS error of the entropy and of the expected entropy, nats, and the mean error of the entropy."""
    ((_, *truth),) = plain(image, law, [REFERENCE], seed=1)
    rows = []
    for replicate in range(REPLICATES):
        for n, *maps in plain(image, law, PLAIN, seed=100 + replicate):
            rows.append({"way": "plain", "n": n} | _against(maps, truth))
    ways: dict[str, dict[str, Any]] = {"heads": {}}
    ways |= {name: {"law": law, **options} for name, options in VARIANTS.items()}
    for name, way in ways.items():
        options = way | {"temperature": image.temperature}
        for seed in range(REPLICATES):
            drawn = posterior.sample(SAMPLES, seed=seed)
            found = predict(image.features, law.mean, drawn, image.ratio, BRAIN_CLASSES, **options, seed=seed)
            rows.append({"way": name, "n": SAMPLES} | _against([found.entropy, found.expected_entropy], truth))
    return rows


def plain(image: Image, law: GaussianPosterior, counts: Any, *, seed: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The maps under the first n heads drawn at random, for each n: number, entropy and expected entropy, (8, N)."""
    generator = torch.Generator().manual_seed(seed)
    classes = len(BRAIN_CLASSES)
    total, done = torch.zeros(classes, SUBVOXELS, image.features.shape[1]).double(), 0
    within = torch.zeros_like(total[0])
    for n in counts:
        while done < n:
            drawn = random_heads(law, min(BATCH, n - done), generator)
            logits = (drawn @ image.features).view(len(drawn), *total.shape).transpose(0, 1)
            p, h = fused(shifted(logits), image.ratio[:, None, None], temperature=image.temperature)
            total += p.sum(dim=1)
            within += h.sum(dim=0)
            done += len(drawn)
        yield n, torch.special.entr(total / n).sum(dim=0), within / n


def random_heads(law: GaussianPosterior, n: int, generator: torch.Generator) -> Tensor:
    """n independent heads: no quasi-random sequence."""
    z = torch.randn(n, len(law.directions), generator=generator)
    own = law.sd * torch.randn(n, *law.mean.shape, generator=generator)
    return law.mean + own + torch.einsum("nk,kij->nij", z, law.directions)


def _against(maps: Any, truth: Any) -> dict[str, float]:
    entropy, expected = (float((found - true).pow(2).mean().sqrt()) for found, true in zip(maps, truth, strict=True))
    return {"entropy": entropy, "expected": expected, "mean": float((maps[0] - truth[0]).mean())}


def write(results: Results, folder: Path) -> str:
    """The page and its plot."""
    cost, rows = results["cost_s"], results["errors"]
    passes, models = passes_of(cost), models_of(results)
    ways = {way: _row(rows, way) for way in models}
    scale, naive = _scale(rows), cost["mean head"] / (cost["trunk"] + cost["mean head"])
    draw(rows, passes, scale, naive, folder / "predictive.png")
    labels = {way: _label(way) for way in passes}
    return PAGE.format(
        bundle=results["bundle"],
        machine=results["machine"],
        case=f"One scan (`{results['case']}`)",
        cells=results["cells"],
        law=results["law"],
        rounds=ROUNDS,
        samples=SAMPLES,
        naive=naive,
        naive_many=1e4 * naive,
        subset=CELLS,
        reference=REFERENCE,
        costs=table(
            ["maps from", "CPU seconds, trunk included", "passes"],
            [[labels[way], cost["trunk"] + cost[way], f"{passed:.2f}"] for way, passed in passes.items()],
        ),
        budget=_budget(reached(results), passes, models),
        errors=table(
            [
                "maps from",
                "error of the entropy, nats",
                "of the expected entropy",
                "mean error of the entropy",
                "models",
            ],
            [
                *([f"{n:,} heads at random", *_figures(_row(rows, "plain", n)), f"{n:,}"] for n in PLAIN[1::2]),
                *([labels[way], *_figures(row), f"{models[way]:,.0f}"] for way, row in ways.items()),
            ],
        ),
    )


def passes_of(cost_s: Mapping[str, float]) -> dict[str, float]:
    """Cost of each way over one pass of trunk and mean head. cost_s: of the trunk and of what follows."""
    one = cost_s["trunk"] + cost_s["mean head"]
    return {name: (cost_s["trunk"] + took) / one for name, took in cost_s.items() if name != "trunk"}


def models_of(results: Results) -> dict[str, float]:
    """How many heads drawn at random have the error of each way."""
    scale, rows = _scale(results["errors"]), results["errors"]
    return {
        way: (scale / _row(rows, way)["entropy"]) ** 2 for way in results["cost_s"] if way not in ("trunk", "mean head")
    }


def reached(results: Results) -> dict[str, float]:
    """What the bars on cost are about: passes of SAMPLES heads, and models within 2 passes."""
    passes, models = passes_of(results["cost_s"]), models_of(results)
    within = max((models[way] for way in VARIANTS if passes[way] <= 2), default=0.0)
    return {"samples_passes": passes["heads"], "many_models": within}


def draw(rows: Any, passes: Mapping[str, float], scale: float, naive: float, path: Path) -> None:
    """Error of the entropy against the number of heads, and against cost."""
    with plot(path, columns=2, inches=(9.0, 3.8)) as (left, right):
        plain_rows = [r for r in rows if r["way"] == "plain"]
        counts = [r["n"] for r in plain_rows]
        for axes, x in ((left, counts), (right, [1 + n * naive for n in counts])):
            axes.loglog(x, [r["entropy"] for r in plain_rows], "o", ms=3.5, alpha=0.6, label="heads at random")
            axes.set_ylabel("RMS error of the entropy, nats")
        left.loglog(PLAIN, [scale / math.sqrt(n) for n in PLAIN], color=COLOURS[0], linewidth=1, label="a / √N")
        for colour, way in zip(COLOURS[1:], [w for w in passes if w != "mean head"], strict=False):
            error = _row(rows, way)["entropy"]
            right.loglog([passes[way]], [error], "D", ms=6, color=colour, label=_label(way))
            left.axhline(error, color=colour, linestyle=(0, (4, 3)), linewidth=1.2)
        left.set_xlabel("heads drawn at random")
        left.set_title("Error and number of models")
        right.set_xlabel("cost, passes")
        right.set_title("Error and cost")
        left.legend(fontsize=8)
        for axes in (left, right):
            axes.set_ylim(bottom=1e-4)
        right.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.1, 0))


def _row(rows: Any, way: str, n: int | None = None) -> dict[str, float]:
    """Root mean square over replicates; the mean error as it is."""
    chosen = [r for r in rows if r["way"] == way and n in (None, r["n"])]
    found = {k: math.sqrt(statistics.mean(r[k] ** 2 for r in chosen)) for k in ("entropy", "expected")}
    return found | {"mean": statistics.mean(r["mean"] for r in chosen)}


def _figures(row: Mapping[str, float]) -> list[str]:
    return [f"{row['entropy']:.1e}", f"{row['expected']:.1e}", f"{row['mean']:+.1e}"]


def _label(way: str) -> str:
    if way not in VARIANTS:
        return {"mean head": "the mean head alone", "heads": f"{SAMPLES} heads as they are"}[way]
    options = VARIANTS[way]
    return f"{way}: {options['points']} points a class, held {options['held']:g}"


def _scale(rows: Any) -> float:
    """a of the line error = a / sqrt(N) through the heads drawn at random."""
    return math.exp(statistics.mean(math.log(r["entropy"] * math.sqrt(r["n"])) for r in rows if r["way"] == "plain"))


def _budget(reached: Mapping[str, float], passes: Mapping[str, float], models: Mapping[str, float]) -> str:
    samples, within = reached["samples_passes"], reached["many_models"]
    beyond = sorted((passes[way], models[way]) for way in VARIANTS if passes[way] > 2)
    return (
        f"{SAMPLES} samples: {samples:.2f} passes, budget 1.3: {'met' if samples <= 1.3 else '**not met** here'}. "
        f"The accuracy of 10,000 models in 2 passes: {'met' if within >= 1e4 else '**not met** here'}; within 2 passes "
        f"it is that of {within:,.0f} models"
        + "".join(f", and of {n:,.0f} in {cost:.2f}" for cost, n in beyond[:1])
        + "."
    )


BENCH = Bench(name="predictive", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
