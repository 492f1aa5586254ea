"""Every run is one MLflow run: what decided, with which settings, what came out.

Nothing here can stop or delay a run by more than a few seconds: MLflow works in a thread of its own while the cases are
decided, and what it cannot do ends as one warning. No patient is in it: pseudonyms and numbers, and the run's report.
Only this file and its neighbours `tracking_*` import MLflow.
"""

import hashlib
import json
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.outcome import Outcome, RunResult
from pipelines.settings import Settings
from pipelines.training_folder import CHECKPOINT, METRICS, RUN, SAMPLES, WEIGHTS, picture_name, read_metrics, read_run
from triage import __version__
from triage.verdict import BundleId

if TYPE_CHECKING:
    from mlflow import MlflowClient

UPLOAD_S = 60.0
"""How long a store that answers may take for the results."""
UNTRACKED = {"out", "state", "bundle", "review_url", "tracking"}
"""Settings that name places of this machine."""

PLACE = "place"
TRAINING, REPORTED = "training.id", "training.reported"
"""Tags of a training: whose run it is, and up to which iteration it is in MLflow."""

LARGEST_BATCH = 1000
"""Metrics that MLflow takes at once."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where MLflow keeps runs. artifacts: folder for their files, None when a server decides.

    place: of which output folder the run is; opening a run closes those that died there.
    patience_s: how long a run waits at its end for a store that has not answered until then.
    """

    uri: str
    artifacts: Path | None
    experiment: str
    place: str
    patience_s: float


class TrackedRun:
    """One run in MLflow, by its own id: two runs in one process never mix. warning: why it is not tracked, if so."""

    def __init__(self, store: Store) -> None:
        self.warning: str | None = None
        self.run_id: str | None = None
        self._store = store
        self._client: MlflowClient | None = None
        self._work: threading.Thread | None = None

    def start(self, *, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Open the run; returns at once."""
        self._work = self._in_background(lambda: self._open(params, tags))

    def finish(self, status: str, result: RunResult | None = None, files: Sequence[Path] = ()) -> None:
        """Log what came out and close the run, within the time a store may take. status: as MLflow calls it."""
        if self._work is not None:
            self._work.join(self._store.patience_s)
        if self.run_id is None:
            self.warning = self.warning or self._lost("it did not answer in time")
            return
        self._work = self._in_background(lambda: self._close(status, result, files))
        self._work.join(UPLOAD_S)
        if self._work.is_alive():
            self.warning = self._lost("it did not take the results in time")

    def _open(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        client = connect(self._store)
        from mlflow.entities import Param

        experiment = experiment_id(client, self._store)
        _close_dead_runs(client, experiment, self._store.place)
        run = client.create_run(
            experiment,
            tags={
                **tags,
                PLACE: self._store.place,
                "mlflow.user": "operator",  # else the account of the machine
                "mlflow.source.name": "brain-triage run",
                "mlflow.source.type": "LOCAL",
            },
        )
        client.log_batch(run.info.run_id, params=[Param(name, str(value)) for name, value in params.items()])
        self._client, self.run_id = client, run.info.run_id

    def _close(self, status: str, result: RunResult | None, files: Sequence[Path]) -> None:
        assert self._client is not None and self.run_id is not None
        if result is not None:
            _log_result(self._client, self.run_id, result)
        for file in files:
            self._client.log_artifact(self.run_id, str(file))
        self._client.set_terminated(self.run_id, status=status)

    def _in_background(self, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Exception as error:  # any: a run goes on without its tracking
                self.warning = self._lost(type(error).__name__)

        thread = threading.Thread(target=guarded, name="tracking", daemon=True)
        thread.start()
        return thread

    def _lost(self, why: str) -> str:
        return (
            f"MLflow did not take this run ({why}); its results are complete all the same. "
            "Check MLFLOW_TRACKING_URI, or run with --no-tracking."
        )


def run_store(settings: Settings) -> Store:
    """Where the settings say that runs are kept."""
    uri = settings.tracking_uri
    remote = uri.startswith(("http://", "https://"))
    artifacts = None if remote else settings.state_folder.absolute() / "artifacts"
    return Store(
        uri=uri,
        artifacts=artifacts,
        experiment=settings.tracking.experiment,
        place=hashlib.sha256(str(settings.out.resolve()).encode()).hexdigest()[:16],
        patience_s=60.0 if uri.startswith("sqlite:") else 15.0,  # MLflow's own load takes seconds on a busy machine
    )


def training_store(settings: Settings) -> Store:
    """Where trainings are kept: the same place, an experiment of their own."""
    store = run_store(settings)
    return replace(store, experiment=f"{store.experiment}-training")


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


def run_params(settings: Settings) -> dict[str, Any]:
    """The settings without the places of this machine."""
    return settings.model_dump(mode="json", exclude=UNTRACKED)


def run_tags(bundle: BundleId) -> dict[str, str]:
    """Which model decided, with which software."""
    return {
        "bundle.name": bundle.name,
        "bundle.version": bundle.version,
        "bundle.digest": bundle.digest,
        "software.version": __version__,
    }


def run_metrics(result: RunResult) -> dict[str, float]:
    """Counts and timings of a run."""
    now = [outcome for outcome in result.outcomes if not outcome.kept]
    stages = sorted({stage for outcome in now for stage in outcome.seconds})
    mean = {s: sum(outcome.seconds.get(s, 0.0) for outcome in now) / len(now) for s in stages}
    return {
        "cases": len(result.outcomes),
        "cases_decided_now": len(now),
        **{f"cases_{route}": count for route, count in result.counts.items()},
        "files_left_alone": sum(result.skipped.values()),
        "seconds": result.seconds,
        **{f"seconds_{stage}_mean": value for stage, value in mean.items()},
    }


def case_table(cases: Sequence[Outcome]) -> dict[str, list[Any]]:
    """One column a fact, one row a case; a signal that a case does not have is None."""
    signals = list(dict.fromkeys(name for case in cases for name in case.signals))
    stages = list(dict.fromkeys(stage for case in cases for stage in case.seconds))
    return {
        "pseudonym": [case.pseudonym for case in cases],
        "route": [case.route.value for case in cases],
        "code": [case.code.value if case.code else None for case in cases],
        "score": [case.score for case in cases],
        "limit": [case.limit for case in cases],
        "decided_before": [case.kept for case in cases],
        **{f"signal.{name}": [case.signals.get(name) for case in cases] for name in signals},
        **{f"seconds.{stage}": [case.seconds.get(stage) for case in cases] for stage in stages},
    }


def _log_result(client: "MlflowClient", run_id: str, result: RunResult) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in run_metrics(result).items() if math.isfinite(value)]
    client.log_batch(run_id, metrics=metrics)
    client.log_dict(run_id, dict(result.skipped), "left_alone.json")
    if result.outcomes:
        client.log_table(run_id, case_table(result.outcomes), "cases.json")


def _close_dead_runs(client: "MlflowClient", experiment: str, place: str) -> None:
    """Runs of this output folder that still look alive: its lock is ours, so they were killed."""
    alive = client.search_runs([experiment], f"attributes.status = 'RUNNING' and tags.\"{PLACE}\" = '{place}'")
    for run in alive:
        client.set_terminated(run.info.run_id, status="KILLED")


def connect(store: Store) -> "MlflowClient":
    """A client of the store's runs and of its model registry. Call it before anything of MLflow is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)


def experiment_id(client: "MlflowClient", store: Store) -> str:
    """Id of the experiment, made when it is not there."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(store.experiment)
    if found is None:
        place = store.artifacts.as_uri() if store.artifacts else None
        try:
            return str(client.create_experiment(store.experiment, artifact_location=place))
        except MlflowException:  # another run was first
            found = client.get_experiment_by_name(store.experiment)
            if found is None:
                raise
    return str(found.experiment_id)
