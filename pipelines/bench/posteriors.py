"""All posteriors of the head side by side on the test split: quality, calibration, selective risk, cost, distance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.posteriors import HeadPosterior
from pipelines.bench.doubt_cases import KINDS, SCANS
from pipelines.bench.page import Bench, Inputs, Results, figure, plot, run, table
from pipelines.bench.tempered import fit_temperature, tempered
from pipelines.compare import sampled_case
from pipelines.deep_ensemble import MEMBERS, read_ensemble
from pipelines.engine import BundleEngine, load_engine
from pipelines.fit_posteriors import convergence
from pipelines.labelled import damaged, features_folder, labelled
from pipelines.posterior_grades import gains, grades_of
from pipelines.posterior_table import BASELINE, REFERENCE, as_table, compare_posteriors, read_posteriors
from pipelines.scans import Scan, read_scans

POSTERIORS = "posteriors"
"""Folder of a cache: what `pipelines.fit_posteriors` wrote, and members/, by `pipelines.fit_last_block --on`."""
LEVELS = (2, 4)
SILVER = 10
"""So many IXI scans, beside the OASIS scans of the test split."""
GAINS: Mapping[str, str] = {
    "nll": "NLL, nats a voxel",
    "ece_band": "ECE in the boundary band",
    "error_auroc": "AUROC, wrong voxels",
}
LOWER_IS_BETTER = {"nll", "ece_band"}
STRUCTURES: Mapping[str, Sequence[str]] = {
    "Dice": ("dice",),
    "ECE / ACE, in and around it": ("ece", "ace"),
    "ECE / ACE, boundary band": ("ece_band", "ace_band"),
}
"""Tables by structure: title, and keys of a structure's figures."""

TEMPERED = ("point", "subject_bootstrap", "mc_dropout")
"""Given a temperature of their own as well, as a bundle's posterior has one."""
DEFAULT, RIVAL = ("subject_bootstrap", "mc_dropout")
TUNE_CELLS = 2048


def measure(inputs: Inputs) -> Results:
    """Clean scans of the test split, and damaged copies of those that the page of doubt damages."""
    engine = load_engine(inputs.bundle)
    scans = [scan for scan in read_scans(inputs.cases, ["test"]) if scan.labels is not None]
    manual, silver = ([scan for scan in scans if scan.manual is kind] for kind in (True, False))
    features = features_folder(inputs.cache, engine.model.trunk)
    clean = [*manual, *silver[:SILVER]]
    harmed = [scan for scan in scans if scan.name in SCANS]
    kept = features_folder(inputs.cache / "doubt", engine.model.trunk)
    worse = damaged(harmed, KINDS, engine.runner, kept, LEVELS)
    fitted = read_posteriors(inputs.cache / POSTERIORS, [BASELINE, REFERENCE, *TEMPERED])
    ensemble = read_ensemble(inputs.cache / POSTERIORS / MEMBERS, engine.model.trunk, fitted[BASELINE].mean)
    own = own_temperatures(inputs, engine, fitted)
    every = fitted | {with_temperature(name): one for name, one in tempered(fitted, own).items()}
    temperatures = {with_temperature(name): t for name, t in own.items()}
    seen = labelled(clean, engine.runner, features)
    rows = compare_posteriors(every, engine, seen, worse, inputs.cache, temperatures=temperatures, ensemble=ensemble)

    def rivals(some: Sequence[Scan]) -> dict[str, list[float]]:
        pair = {name: every[name] for name in map(with_temperature, (RIVAL, DEFAULT))}
        cases = labelled(some, engine.runner, features)
        return gains(*grades_of(pair, engine, cases, inputs.cache, temperatures=temperatures).values())

    return {
        "bundle": f"{engine.bundle.name} {engine.bundle.version}",
        "rows": rows,
        "temperatures": own,
        "rivals": {"manual": rivals(manual), "automatic": rivals(silver[:SILVER]), "both": rivals(clean)},
        "manual": len(manual),
        "silver": SILVER,
        "damaged": len(harmed),
        "convergence": convergence(fitted[REFERENCE].state["heads"]),
        "members": len(ensemble.posterior.heads) if ensemble else 0,
    }


def own_temperatures(inputs: Inputs, engine: BundleEngine, posteriors: Mapping[str, HeadPosterior]) -> dict[str, float]:
    """Of each of TEMPERED, fitted on the manually labelled scans of the tune split."""
    tune = [scan for scan in read_scans(inputs.cases, ["tune"]) if scan.manual]
    features = features_folder(inputs.cache, engine.model.trunk)
    cases = [sampled_case(one, engine, cells=TUNE_CELLS) for one in labelled(tune, engine.runner, features)]
    return {name: fit_temperature(posteriors[name], cases) for name in TEMPERED}


def with_temperature(name: str) -> str:
    """The row of a posterior that has a temperature of its own."""
    return f"{name} + temperature"


def write(results: Results, folder: Path) -> str:
    """Plot and text."""
    rows = results["rows"]
    draw_gains(rows, folder / "posteriors-gains.png")
    return PAGE.format(
        table=as_table(rows),
        structures="\n".join(structure_table(rows, *each) for each in STRUCTURES.items()),
        told=told(rows),
        gains=table(["against the point estimate", *GAINS.values()], _gain_rows(rows)),
        tempered=tempered_section(results) if "rivals" in results else "",
        reference=REFERENCE,
        ensemble=ENSEMBLE.format(members=results["members"]) if results["members"] else "",
        **{key: results[key] for key in ("bundle", "manual", "silver", "damaged", "convergence")},
    )


def structure_table(rows: Mapping[str, Any], title: str, keys: Sequence[str]) -> str:
    """One row a posterior, one column a structure."""
    names = [key.replace("_", " ") for key in next(iter(rows.values()))["structures"]]
    cells = [
        [f"`{name}`", *(" / ".join(figure(one[key]) for key in keys) for one in row["structures"].values())]
        for name, row in rows.items()
    ]
    return table([title, *names], cells)


def tempered_section(results: Results) -> str:
    """Two posteriors on equal terms."""
    rivals = [[name, *(_interval(found[key]) for key in GAINS)] for name, found in results["rivals"].items()]
    own = [f"{figure(t, 2)} for `{name}`" for name, t in results["temperatures"].items()]
    header = [f"`{RIVAL}` against `{DEFAULT}`, labels", *GAINS.values()]
    return TEMPERED_SECTION.format(temperatures=", ".join(own), rivals=table(header, rivals))


def told(rows: Mapping[str, Any]) -> str:
    """The best of each figure of merit, and what the exact posterior gains."""
    sign = {key: 1 if key in LOWER_IS_BETTER else -1 for key in GAINS}
    best = {key: min(rows, key=lambda name: sign[key] * rows[name]["gains"][key][0]) for key in GAINS}
    winners = "; ".join(f"{title}, `{best[key]}`" for key, title in GAINS.items())
    exact = rows.get(REFERENCE)
    gained = f" The exact posterior gains {_interval(exact['gains']['nll'])} of NLL." if exact else ""
    return f"Best: {winners}.{gained} The posterior of a head sees no fault of the features below it."


def draw_gains(rows: Mapping[str, Any], path: Path) -> None:
    """Differences from the point estimate with their intervals, a panel a figure of merit."""
    names = [name for name in rows if name != BASELINE]
    with plot(path, columns=len(GAINS), inches=(8.4, 0.34 * len(names) + 1.3)) as panels:
        for axes, (key, title) in zip(panels, GAINS.items(), strict=True):
            for place, name in enumerate(names):
                value, low, high = rows[name]["gains"][key]
                better = (high < 0) if key in LOWER_IS_BETTER else (low > 0)
                worse = (low > 0) if key in LOWER_IS_BETTER else (high < 0)
                colour = "C2" if better else "C1" if worse else "C7"
                axes.plot([low, high], [place, place], color=colour)
                axes.plot(value, place, "o", color=colour, markersize=5)
            axes.axvline(0, color="#555555", linewidth=0.9)
            axes.set_yticks(range(len(names)), names if axes is panels[0] else [""] * len(names))
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.locator_params(axis="x", nbins=4)
            axes.set_title(title, fontsize=8.5)
        panels[1].set_xlabel("difference from the point estimate; green better, orange worse, grey undecided (95 %)")


def _gain_rows(rows: Mapping[str, Any]) -> list[list[str]]:
    return [
        [f"`{name}`", *(_interval(row["gains"][key]) for key in GAINS)]
        for name, row in rows.items()
        if name != BASELINE
    ]


def _interval(gain: list[float]) -> str:
    value, low, high = (f"{one:+.4f}" for one in gain)
    return f"{value} ({low} to {high})"


ENSEMBLE = """
- `deep_ensemble`: {members} networks that differ in the last decoder block and the head, over the same trunk below:
  the network itself and those fitted on from its weights (`pipelines.fit_last_block --on`). Members are no
  distribution over heads of one trunk, so they have no SD and no TV; what each costs is on
  [the page of the last block](last_block.md), with members fitted anew, which are too weak to join. Whole networks
  trained apart would need a GPU."""
TEMPERED_SECTION = """## With a temperature of their own

A temperature is worth more than what sets most posteriors apart, so a fair comparison gives one to each: fitted on the
two manually labelled tune scans by least NLL through the same prior, for healthy tissue alone, as the bundle's is.
{temperatures}. The two that may be the default, each with its own, over the same test scans:

{rivals}
"""
PAGE = """# Posteriors of the head, side by side

Model: {bundle}. Every posterior was fitted on the same cells of synthetic images, over the features of
the same trunk; each is a row of `models.posteriors.POSTERIORS`, but for the ensemble, and those with a temperature of
their own, which is fitted on two tune scans. No weight saw a real scan. They are graded on the {manual} OASIS scans of
the test split (manual labels), {silver} IXI scans of it (automatic labels), and damaged copies of {damaged} of these
(noise, motion, missing slices, wrong contrast, two levels each). All see the same random cells of the brain and what
lies around it, through the same anatomical prior, with 32 samples. Sulcal CSF counts as background.

{table}
- Dice: mean over eight structures and scans. NLL, Brier: nats and squared error a voxel. ECE, ACE: of each structure's
  probability in and around it, and within 2 mm of its boundary, pooled over scans, mean over structures.
- AUROC: of a voxel's entropy for its label being wrong, in the brain and 2 mm around.
- AURC, AUGRC: over clean and damaged cases, by mean entropy over the predicted brain; the loss of a case is 1 - mean
  Dice. NLL, damaged: on the damaged copies alone.
- SD: median over weights, and over logits, of the marginal SD over that of `{reference}`, Hamiltonian Monte Carlo over
  the same head. TV: mean total variation a voxel between the two predictives, without the prior. Both on cells of one
  scan, by 256 draws of each. The reference, over all weights:
  {convergence}.{ensemble}
- cost: CPU time of a prediction, network included, over that of one pass without samples, once each on a busy machine;
  [the page of the predictive](predictive.md) measures the shipped one with care.

## What differs beyond chance

{gains}
Differences over the same scans, with 95 % intervals over scans drawn again. {told}

![Differences from the point estimate](posteriors-gains.png)

{tempered}## Structures

Pooled over the clean scans.

{structures}
`python -m pipelines.bench.posteriors`; the same table on other scans: `brain-triage evaluate --posteriors FOLDER`.
"""

BENCH = Bench(name="posteriors", measure=measure, write=write)

if __name__ == "__main__":
    run([BENCH])
