"""The stages of a retraining: each reads what the ones before left in the job's folder, and leaves its own there."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from models import bundle as files
from models.density import fit_density
from models.posteriors import POSTERIORS
from models.posteriors.correction import correct_head
from pipelines.engine import load_engine
from pipelines.fit_prior import choices, fit_all, keep
from pipelines.labelled import labelled
from pipelines.model_card import add_to_card
from pipelines.retrain_cells import CorrectedCells, corrected_cells, overlap, weighted
from pipelines.retrain_corrections import Corrected
from pipelines.retrain_job import Job, Metrics
from pipelines.retrain_plot import PLOT, draw_dice
from pipelines.retrain_replay import read_pooled, replay_of
from pipelines.scans import read_scans
from triage.gate.operating_point import FILE, VERSION

HEAD, POSTERIOR, DICE = "head.safetensors", "posterior.safetensors", "dice.json"
BUNDLE, CALIBRATED = "bundle", "calibrated"
CLOSED = (
    "Nothing is promised and every case goes to a human: the weights were retrained, and the limits of a gate belong "
    "to the weights that they were calibrated on. Calibrate this bundle before it may accept a case."
)


def draw(job: Job) -> Metrics:
    """Cells of the replay and of every correction, kept where another retraining of this trunk finds them."""
    images = replay_of(job)
    scans = [_cells(job, one) for one in (*job.corrections.train, *job.corrections.tune)]
    judged = sum(float(scan.judged.weight.sum()) for scan in scans)
    total = judged + sum(float(scan.rest.weight.sum()) for scan in scans)
    return {"replay_images": len(images), "corrected_scans": len(scans), "judged_share": judged / max(total, 1.0)}


def move_head(job: Job) -> Metrics:
    """The head that explains the new corrections and holds what the live one has learnt.

    After a fine-tuning the head has learnt with its trunk, and stays.
    """
    live = job.net.linear_head
    if job.options.full:
        files.write_tensors(job.folder / HEAD, {"head": live})
        return _graded(job, live)
    scans = [(one.key in job.learnt, _cells(job, one)) for one in job.corrections.train]
    weight = job.options.weight
    held = [
        *replay_of(job),
        *(weighted(scan.rest, weight) for _, scan in scans),
        *(weighted(scan.judged, weight) for learnt, scan in scans if learnt),
    ]
    new = [weighted(scan.judged, weight) for learnt, scan in scans if not learnt]
    head = correct_head(live, held, new)
    files.write_tensors(job.folder / HEAD, {"head": head})
    return _graded(job, head)


def spread(job: Job) -> Metrics:
    """The posterior around the new head, by the live bundle's method."""
    weight = job.options.weight
    scans = [_cells(job, one) for one in job.corrections.train]
    images = [*replay_of(job), *(weighted(part, weight) for scan in scans for part in (scan.judged, scan.rest))]
    fitted = POSTERIORS[job.settings["posterior"]].fit(read_head(job), images)
    files.write_tensors(job.folder / POSTERIOR, fitted.state, half=True)
    sample = fitted.sample(32, seed=job.options.seed)
    return {"images": len(images), "weight_sd": float(sample.std(dim=0).mean())}


def assemble(job: Job) -> Metrics:
    """The new bundle: the live one with the new weights, a closed gate and a card that says so."""
    out = job.folder / f".{BUNDLE}.unfinished"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(job.live, out)
    head = read_head(job)
    state = job.net.state_dict() | {"head.weight": head[:, :-1, None, None, None], "head.bias": head[:, -1]}
    files.write_tensors(out / files.NETWORK, state, half=True)
    shutil.copyfile(job.folder / POSTERIOR, out / files.POSTERIOR)
    metadata = json.loads((out / files.METADATA).read_text())
    settings = metadata["brain_triage"]
    settings["retrained"] = {
        "from": job.live_digest,
        "corrections": sorted(job.learnt | {one.key for one in job.corrections.train}),
        "weight": job.options.weight,
        "iterations": job.options.full,
    }
    if job.options.full:
        density = fit_density(read_pooled(job))
        files.write_tensors(out / files.DENSITY, {"mean": density.mean, "whitening": density.whitening})
        shutil.rmtree(out / files.MEMBERS, ignore_errors=True)
        (out / files.CLASSIFIER).unlink(missing_ok=True)
        settings.pop("findings", None)
    files.write_metadata(out / files.METADATA, metadata | {"version": next_version(metadata["version"])})
    close_gate(out / FILE)
    add_to_card(out, card(job))
    fitted = refit_exponents(out, job.cases, job.options.seed) if job.cases else {}
    shutil.rmtree(job.folder / BUNDLE, ignore_errors=True)
    out.rename(job.folder / BUNDLE)
    return fitted


def close_gate(point: Path) -> None:
    """An operating point that accepts nothing and promises nothing.

    Its limits stay, for what a report says of each signal; so does what was asked for, and what counts as failed.
    """
    content = json.loads(point.read_text())
    evaluation = content.get("evaluation")
    if evaluation is not None:
        evaluation = {**evaluation, "risk": None, "curve": [], "signals": {}}
    closed = {"version": VERSION, "certified": False, "accepts": False, "promise": CLOSED, "evaluation": evaluation}
    point.write_text(json.dumps({**content, **closed, "made": {"from": "a retraining"}}, indent=2) + "\n")


def refit_exponents(bundle: Path, cases: Path, seed: int) -> Metrics:
    """Temperature, prior weight and offsets of classes on manually labelled scans of the tune split.

    Not on corrections: what a reviewer left alone is the model's own answer, and would call it right by construction.
    """
    scans = [scan for scan in read_scans(cases, ["tune"]) if scan.labels and scan.manual]
    path = bundle / files.METADATA
    metadata = json.loads(path.read_text())
    settings = metadata["brain_triage"]
    frequency, engine = torch.tensor(settings["training_prior"]), load_engine(bundle)
    generator = torch.Generator().manual_seed(seed)
    found, nll = fit_all([choices(one, engine, frequency, generator) for one in labelled(scans, engine.runner)])
    keep(settings, found)
    settings["prior_fit"] = {"subjects": len(scans), "nll": nll}
    files.write_metadata(path, metadata)
    files.seal(bundle)
    return {"temperature": settings["temperature"], "beta": found.beta, "nll": nll}


def card(job: Job) -> str:
    """The section of the model card."""
    train, tune = len(job.corrections.train), len(job.corrections.tune)
    how = f"the trunk in {job.options.full} iterations, then posterior" if job.options.full else "head and posterior"
    findings = " It has no classifier of findings: fit it again." if job.options.full else ""
    prior, gate = (
        ("fitted again", "was calibrated again") if job.cases else ("kept", "is closed until it is calibrated")
    )
    return (
        f"## Retrained\n\nFrom bundle {job.live_digest[:12]}: {how}, on {train} corrected scans of subjects that the "
        f"ledger lets train, each counted as {job.options.weight:g} synthetic images; {tune} others were looked at "
        f"only. Temperature and prior weight were {prior}.{findings} The gate {gate}.\n"
    )


def next_version(version: str) -> str:
    """New weights: the middle number goes up."""
    first, middle, _ = version.split(".")
    return f"{first}.{int(middle) + 1}.0"


def read_head(job: Job) -> Tensor:
    """(8 C, F + 1), what `move_head` left."""
    head: Tensor = load_file(job.folder / HEAD)["head"]
    return head


def _cells(job: Job, one: Corrected) -> CorrectedCells:
    return corrected_cells(one, job.net, job.runner, job.state, job.options.seed)


def _live_cells(job: Job, one: Corrected) -> CorrectedCells:
    """As the live trunk sees it; the same as the others when the trunk stays."""
    return corrected_cells(one, job.live_net, job.live_runner, job.state, job.options.seed)


def _graded(job: Job, head: Tensor) -> Metrics:
    """Mean Dice with the reviewers' labels of the live model and the new one; of each case into DICE.

    Tune cases taught nothing.
    """
    rows, means = [], {}
    for split, corrected in (("train", job.corrections.train), ("tune", job.corrections.tune)):
        before = [overlap(job.live_net.linear_head, _live_cells(job, one)) for one in corrected]
        after = [overlap(head, _cells(job, one)) for one in corrected]
        for when, found in (("before", before), ("after", after)):
            rows += [
                {"case": one.pseudonym, "split": split, "when": when, "dice": dice}
                for one, dice in zip(corrected, found, strict=True)
            ]
            if found:
                means[f"dice.{split}.{when}"] = float(np.mean([np.mean(list(dice.values())) for dice in found]))
    (job.folder / DICE).write_text(json.dumps(rows, indent=1) + "\n")
    draw_dice(rows, job.folder / PLOT)
    return means
