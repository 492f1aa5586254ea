"""A retraining in MLflow: one parent run, one child a stage, with datasets, costs, plots and the bundle itself.

What is told is read from the folder of the retraining, so it may be told again after every stage, a kill, or a store
that did not answer, and comes to the same runs.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.bundles import identify
from pipelines.retrain import Watch
from pipelines.retrain_job import Job, read_stages
from pipelines.retrain_plot import PLOT
from pipelines.retrain_stages import DICE
from pipelines.scored import model_digest
from pipelines.tracking import run_tags
from pipelines.tracking_registry import ARTIFACT, MADE
from pipelines.tracking_store import Store, connect, experiment_id
from pipelines.tracking_training import folder_run
from pipelines.training_folder import RUN, read_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo

KIND = "brain_triage.kind"
STAGE = "brain_triage.stage"
PARENT = "mlflow.parentRunId"
SOURCE = "brain-triage retrain"


def follow_retraining(store: Store, warn: Callable[[str], None]) -> Watch:
    """What brings every stage of a retraining into MLflow; what one call could not bring, the next one does."""

    def watch(job: Job, bundle: Path | None) -> str | None:
        try:
            return tell_retraining(job.folder, store, bundle)
        except Exception as error:  # any: a retraining goes on without its tracking
            warn(f"MLflow did not take what is new ({type(error).__name__}); retrain again and only that is told.")
            return None

    return watch


def tell_retraining(folder: Path, store: Store, bundle: Path | None = None) -> str:
    """Bring what is new in the folder of a retraining into MLflow; gives the id of its run.

    bundle: what came of it, when it is finished.
    """
    client, record, stages = connect(store), read_run(folder), read_stages(folder)
    experiment = experiment_id(client, store)
    parent, tags = folder_run(client, experiment, record, source=SOURCE)
    if tags.get("bundle.digest"):
        return parent
    client.set_tag(parent, KIND, "retrain")
    told = {
        run.data.tags[STAGE]: run.info for run in client.search_runs([experiment], f"tags.\"{PARENT}\" = '{parent}'")
    }
    for name, stage in stages.items():
        info = told.get(name) or _child(client, experiment, parent, name, stage["began_ms"])
        if info.status != "FINISHED":
            system = {f"system/{key}": value for key, value in stage["system"].items()}
            _log(client, info.run_id, {**stage["metrics"], **system}, stage["ended_ms"])
            _log(client, parent, {f"{name}.{key}": value for key, value in stage["metrics"].items()}, stage["ended_ms"])
            client.set_terminated(info.run_id, status="FINISHED", end_time=stage["ended_ms"])
    for file in (RUN, DICE, PLOT):
        if (folder / file).is_file():
            client.log_artifact(parent, str(folder / file))
    if bundle is not None:
        for cost in ("cpu_seconds", "wall_seconds"):
            total = sum(stage["system"][cost] for stage in stages.values())
            _log(client, parent, {f"system/{cost}": total}, int(time.time() * 1000))
        client.log_artifacts(parent, str(bundle), ARTIFACT)
        for key, value in {**run_tags(identify(bundle)), MADE: model_digest(bundle)}.items():
            client.set_tag(parent, key, value)
        client.set_terminated(parent, status="FINISHED")
    return parent


def _child(client: "MlflowClient", experiment: str, parent: str, name: str, began_ms: int) -> "RunInfo":
    tags = {
        PARENT: parent,
        STAGE: name,
        "mlflow.runName": name,
        "mlflow.user": "operator",  # else the account of the machine
        "mlflow.source.name": SOURCE,
        "mlflow.source.type": "LOCAL",
    }
    return client.create_run(experiment, start_time=began_ms, tags=tags).info


def _log(client: "MlflowClient", run_id: str, metrics: Mapping[str, float], at_ms: int) -> None:
    from mlflow.entities import Metric

    client.log_batch(run_id, metrics=[Metric(name, float(value), at_ms, 0) for name, value in metrics.items()])
