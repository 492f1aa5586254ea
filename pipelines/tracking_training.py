"""A training in MLflow: parameters, curves, sample images, datasets by digest and the last weights.

What is told is read from the folder of the training, so it may be told after every report, or all of it afterwards.
"""

import json
import math
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.tracking_store import Store, connect, experiment_id
from pipelines.training_folder import CHECKPOINT, METRICS, RUN, SAMPLES, WEIGHTS, picture_name, read_metrics, read_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRAINING, REPORTED = "training.id", "training.reported"
"""Tags of a training: whose run it is, and up to which iteration it is in MLflow."""
LARGEST_BATCH = 1000
"""Metrics that MLflow takes at once."""


def follow_training(store: Store, warn: Callable[[str], None]) -> Callable[[Path], None]:
    """What brings every report of a training into MLflow. What one report could not bring, the next one does."""

    def watch(folder: Path) -> None:
        try:
            import_training(folder, store)
        except Exception as error:  # any: a training goes on without its tracking
            warn(
                f"MLflow did not take this report ({type(error).__name__}); the training goes on, and "
                "`brain-triage track import` can bring it in later."
            )

    return watch


def import_training(folder: Path, store: Store) -> str:
    """Bring the folder of a training into MLflow, or what is new in it; the same run however often. Gives its id."""
    record, rows = read_run(folder), read_metrics(folder)
    client = connect(store)
    from mlflow.entities import Metric

    run_id, tags = folder_run(client, experiment_id(client, store), record, source="brain-triage train")
    reported = int(tags.get(REPORTED, 0))
    now = int(time.time() * 1000)
    new = [row for row in rows if row["iteration"] > reported]
    metrics = [
        Metric(name, value, now, int(row["iteration"]))
        for row in new
        for name, value in row.items()
        if name != "iteration" and math.isfinite(value)
    ]
    for start in range(0, len(metrics), LARGEST_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + LARGEST_BATCH])
    for row in new:
        client.log_artifact(run_id, str(folder / SAMPLES / picture_name(row)), SAMPLES)
    if new:
        for name in (RUN, METRICS, WEIGHTS, CHECKPOINT):  # the last of each: laid into a folder, the training goes on
            if (folder / name).is_file():
                client.log_artifact(run_id, str(folder / name))
        reported = int(rows[-1]["iteration"])
        client.set_tag(run_id, REPORTED, reported)
    if reported >= record["parameters"]["iterations"]:
        client.set_terminated(run_id, status="FINISHED")
    return run_id


def folder_run(
    client: "MlflowClient", experiment: str, record: Mapping[str, Any], *, source: str
) -> tuple[str, Mapping[str, str]]:
    """Id and tags of the run of a training's folder by its record; made, with datasets, when there is none."""
    from mlflow.entities import Dataset, DatasetInput, Param

    identity = uuid.UUID(record["id"]).hex  # nothing else of a file may get into a query
    found = client.search_runs([experiment], f"tags.\"{TRAINING}\" = '{identity}'")
    if found:
        return str(found[0].info.run_id), found[0].data.tags
    tags = {
        TRAINING: identity,
        "mlflow.user": "operator",  # else the account of the machine
        "mlflow.source.name": source,
        "mlflow.source.type": "LOCAL",
        **{f"software.{name}": version for name, version in record["software"].items()},
    }
    run_id = str(client.create_run(experiment, tags=tags).info.run_id)
    client.log_batch(run_id, params=[Param(name, str(value)) for name, value in record["parameters"].items()])
    datasets = [
        Dataset(name=name, digest=about["sha256"][:36], source_type="local", source=json.dumps(about))
        for name, about in record["datasets"].items()
    ]
    client.log_inputs(run_id, [DatasetInput(dataset) for dataset in datasets])
    return run_id, tags
