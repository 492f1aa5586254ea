"""Retrain from corrections: a new bundle from the live one, stage by stage, in minutes on a CPU.

By default the trunk stays: the head moves (`models.posteriors.correction`) and the posterior is fitted around it. With
a table of labelled scans, temperature, prior weight and gate are fitted again. `Options.full` fine-tunes the network
first.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines import training_folder
from pipelines.bundles import bundle_in_use, identify, open_history
from pipelines.folders import PARTIAL, locked
from pipelines.retrain_corrections import open_ledger, read_corrections
from pipelines.retrain_full import fine_tune
from pipelines.retrain_gate import recalibrate
from pipelines.retrain_job import Job, Metrics, Options, read_stages, run_stage
from pipelines.retrain_stages import BUNDLE, CALIBRATED, assemble, draw, move_head, spread
from pipelines.settings import Settings
from triage.errors import TriageError
from triage.gate.operating_point import FILE, read_operating_point
from triage.verdict import BundleId

RETRAINING = "retraining"
Stage = tuple[str, Callable[[Job], Metrics]]
TRUNK: Sequence[Stage] = (("trunk", fine_tune),)
HEAD: Sequence[Stage] = (("cells", draw), ("head", move_head), ("posterior", spread), ("bundle", assemble))
GATE: Sequence[Stage] = (("gate", recalibrate),)
Watch = Callable[[Job, Path | None], str | None]
"""Called with the job after every stage, at the end with the bundle too; gives the id of the MLflow run, if one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrained:
    """bundle: what was made. train, tune: corrections that taught, and that were only looked at.

    left_out: how many others, by reason. stages: metrics and cost of each. run_id: in MLflow.
    """

    bundle: BundleId
    train: int
    tune: int
    left_out: Mapping[str, int]
    stages: Mapping[str, Mapping[str, Any]]
    promise: str
    run_id: str | None


def unwatched(_: Job, __: Path | None) -> None:
    """Nobody looks."""


def plan_job(
    settings: Settings,
    options: Options,
    *,
    label_maps: Path | None = None,
    lesion_masks: Path | None = None,
    cases: Path | None = None,
) -> Job:
    """The retraining that is due: of the bundle in use, from every correction that may be used for it."""
    corrections = read_corrections(settings)
    with open_history(settings) as history:
        live = bundle_in_use(settings, history.live())
    job = Job(
        live=live,
        live_digest=identify(live).digest,
        corrections=corrections,
        ledger=open_ledger(settings),
        options=options,
        state=settings.state_folder / RETRAINING,
        label_maps=label_maps,
        lesion_masks=lesion_masks,
        cases=cases,
    )
    if not {one.key for one in corrections.train} - job.learnt:
        others = [f"{len(corrections.tune)} of a subject that belongs to the split tune"] if corrections.tune else []
        others += [f"{n} {why}" for why, n in corrections.left_out.items()]
        raise TriageError(
            "There is no correction to train on that the model in use has not learnt."
            + (f" Corrections of other use: {'; '.join(others)}." if others else ""),
            do="Correct cases on the review pages. A subject's split is for ever.",
        )
    return job


def retrain(job: Job, to: Path, watch: Watch = unwatched) -> Retrained:
    """Do what is not done yet, then lay the bundle into the folder `to`. The same job gives the same bits."""
    job.state.mkdir(parents=True, exist_ok=True)
    with locked(job.folder):
        about = {"from": job.live_digest, "kind": "full" if job.options.full else "head"}
        training_folder.open_folder(job.folder, asdict(job.options) | about, job.datasets)
        for name, work in (*(TRUNK if job.options.full else ()), *HEAD, *(GATE if job.cases else ())):
            run_stage(job, name, work)
            watch(job, None)
    _publish(finished_bundle(job), to)
    return Retrained(
        bundle=identify(to),
        train=len(job.corrections.train),
        tune=len(job.corrections.tune),
        left_out=job.corrections.left_out,
        stages=read_stages(job.folder),
        promise=read_operating_point(to / FILE).promise,
        run_id=watch(job, to),
    )


def finished_bundle(job: Job) -> Path:
    """The bundle of a retraining whose stages are all done."""
    return job.folder / (CALIBRATED if job.cases else BUNDLE)


def _publish(bundle: Path, to: Path) -> None:
    """Copy the bundle in one step; a folder that holds it already stays."""
    if to.exists():
        if identify(to).digest == identify(bundle).digest:
            return
        raise TriageError(f"{to} exists and is another bundle.", do="Give --to a folder that is not there yet.")
    partial = to.with_name(f"{PARTIAL}{to.name}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(bundle, partial)
    partial.rename(to)
