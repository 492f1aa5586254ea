"""Where MLflow keeps what we tell it: the place that the settings name, and a client of it."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
