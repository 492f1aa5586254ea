"""The model registry of MLflow: every bundle that was ever live is a version of one model, and the alias says which is.

MLflow follows, it does not lead: which bundle is live stands in the review database, so whatever is told here can be
told again, and comes to the same.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.model_card import Making
from pipelines.scored import model_digest
from pipelines.settings import Settings
from pipelines.tracking import run_tags
from pipelines.tracking_store import Store, connect, experiment_id, run_store, training_store
from triage.errors import TriageError
from triage.verdict import BundleId

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "brain-triage"
ALIAS = "live"
ARTIFACT = "bundle"
"""Where a run keeps its bundle among its artifacts."""
DIGEST = "bundle.digest"
MADE = "bundle.model"
"""Tag of a retraining: `model_digest` of what it made, which new limits and another model card do not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowRegistry:
    """The registry of a store; a `pipelines.promote.Registry`. trainings: experiment of the retrainings."""

    store: Store
    trainings: str

    def register(self, bundle: BundleId, folder: Path, tags: Mapping[str, str]) -> str:
        """The version of the model that is this bundle, made when there is none; its files are artifacts of a run."""
        client = connect(self.store)
        found = _version(client, bundle)
        if found is not None:
            return found
        told = {**run_tags(bundle), **tags, "mlflow.user": "operator", "mlflow.source.name": "brain-triage promote"}
        run = client.create_run(experiment_id(client, self.store), tags=told)
        client.log_artifacts(run.info.run_id, str(folder), ARTIFACT)
        client.set_terminated(run.info.run_id)
        _make_model(client)
        source = f"{run.info.artifact_uri}/{ARTIFACT}"
        return str(client.create_model_version(MODEL, source, run.info.run_id, tags=told).version)

    def point_at(self, version: str) -> None:
        """Let the alias name this version."""
        connect(self.store).set_registered_model_alias(MODEL, ALIAS, version)

    def making_of(self, folder: Path) -> Making | None:
        """The latest retraining that made a bundle of these weights, whatever limits it was given since."""
        client = connect(self.store)
        experiment = client.get_experiment_by_name(self.trainings)
        if experiment is None:
            return None
        made = f"tags.\"{MADE}\" = '{model_digest(folder)}'"
        for run in client.search_runs([experiment.experiment_id], made, max_results=1):
            return Making(
                run_id=run.info.run_id,
                datasets={one.dataset.name: one.dataset.digest for one in run.inputs.dataset_inputs},
                metrics={name: value for name, value in run.data.metrics.items() if not name.startswith("system/")},
            )
        return None


def open_registry(settings: Settings) -> MlflowRegistry | None:
    """The registry at the place of the runs, the files of its bundles in an experiment of their own; None untracked."""
    store = run_store(settings)
    own = replace(store, experiment=f"{store.experiment}-models")
    return MlflowRegistry(store=own, trainings=training_store(settings).experiment) if settings.tracking.on else None


@contextmanager
def named_bundle(name: str, settings: Settings) -> Iterator[Path]:
    """A bundle by its folder; or a copy, gone at the end, of what a retraining made, by the id of its MLflow run."""
    if Path(name).is_dir():
        yield Path(name)
        return
    client = connect(run_store(settings))
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as place:
        try:
            found = Path(client.download_artifacts(name, ARTIFACT, place))
        except (MlflowException, OSError) as error:
            raise TriageError(
                f"There is no folder {name}, and MLflow has no bundle of such a run.",
                do="Give the folder of a bundle, or the id of a retraining, with the --state that it had.",
            ) from error
        yield found


def _version(client: "MlflowClient", bundle: BundleId) -> str | None:
    found = client.search_model_versions(f"name = '{MODEL}' and tags.\"{DIGEST}\" = '{bundle.digest}'")
    return str(found[0].version) if found else None


def _make_model(client: "MlflowClient") -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(MODEL)
    except MlflowException:  # it is there, or nothing of MLflow is
        client.get_registered_model(MODEL)
