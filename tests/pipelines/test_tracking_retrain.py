"""A retraining in MLflow is one parent and a child a stage, however often it is told."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models.bundle import seal
from pipelines import training_folder
from pipelines.model_card import Making, add_to_card
from pipelines.retrain_job import STAGES, Job
from pipelines.retrain_stages import close_gate
from pipelines.settings import SHIPPED_BUNDLE, Settings
from pipelines.tracking_registry import named_bundle, open_registry
from pipelines.tracking_retrain import KIND, PARENT, STAGE, follow_retraining, tell_retraining
from pipelines.tracking_store import Store, training_store
from triage.gate.operating_point import FILE

DATASETS = {"corrections_train": {"cases": ["bt-one"], "sha256": "a" * 64}}


def finish(folder: Path, name: str, began_ms: int, **metrics: float) -> None:
    """A stage is done."""
    system = {"cpu_seconds": 2.5, "wall_seconds": 3.0, "peak_memory_mib": 700}
    content = {"began_ms": began_ms, "ended_ms": began_ms + 3000, "metrics": metrics, "system": system}
    (folder / STAGES).mkdir(parents=True, exist_ok=True)
    (folder / STAGES / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str, Path]:
    """Told after each of two stages, at the end with the bundle, and once more."""
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store = training_store(Settings(out=folder / "out", state=folder))
    job, bundle = folder / "job", folder / "bundle"
    shutil.copytree(SHIPPED_BUNDLE, bundle)
    training_folder.open_folder(job, {"seed": 3}, DATASETS)
    finish(job, "cells", 1_000)
    tell_retraining(job, store)
    finish(job, "head", 5_000, **{"dice.train.after": 0.75})
    tell_retraining(job, store)
    run_id = tell_retraining(job, store, bundle)
    assert tell_retraining(job, store, bundle) == run_id
    return store, run_id, bundle


def runs(store: Store) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store.uri)
    return list(client.search_runs([client.get_experiment_by_name(store.experiment).experiment_id]))


def test_there_is_one_parent_and_one_finished_child_a_stage(told: tuple[Store, str, Path]) -> None:
    store, run_id, _ = told

    found = {run.data.tags.get(STAGE, ""): run for run in runs(store)}

    assert len(runs(store)) == 3
    assert found[""].info.run_id == run_id
    assert {run.data.tags[PARENT] for name, run in found.items() if name} == {run_id}
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_a_child_tells_what_its_stage_found_and_cost(told: tuple[Store, str, Path]) -> None:
    (head,) = (run for run in runs(told[0]) if run.data.tags.get(STAGE) == "head")

    assert head.data.metrics["dice.train.after"] == 0.75
    assert head.data.metrics["system/cpu_seconds"] == 2.5
    assert head.info.end_time - head.info.start_time == 3000


def test_the_parent_names_datasets_by_digest_and_keeps_the_bundle(told: tuple[Store, str, Path]) -> None:
    store, run_id, bundle = told
    (parent,) = (run for run in runs(store) if run.info.run_id == run_id)

    assert parent.data.tags[KIND] == "retrain"
    assert parent.data.params == {"seed": "3"}
    assert [one.dataset.digest for one in parent.inputs.dataset_inputs] == ["a" * 36]
    assert parent.data.metrics["system/cpu_seconds"] == 5.0
    settings = Settings(out=bundle.parent / "out", state=bundle.parent)
    with named_bundle(run_id, settings) as copy:
        assert (copy / "SHA256SUMS").read_bytes() == (bundle / "SHA256SUMS").read_bytes()
    assert parent.data.tags["bundle.digest"] == hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest()


def test_the_run_of_a_bundle_is_found_by_its_weights_whatever_limits_and_words_it_was_given_since(
    told: tuple[Store, str, Path], tmp_path: Path
) -> None:
    _, run_id, bundle = told
    registry = open_registry(Settings(out=bundle.parent / "out", state=bundle.parent))
    assert registry is not None
    promoted, other = (shutil.copytree(bundle, tmp_path / name) for name in ("promoted", "other"))
    close_gate(promoted / FILE)
    add_to_card(promoted, "Promoted.")
    (other / "models" / "posterior.safetensors").write_bytes(b"other weights")
    seal(other)

    found = registry.making_of(promoted)

    assert found == Making(
        run_id=run_id, datasets={"corrections_train": "a" * 36}, metrics={"head.dice.train.after": 0.75}
    )
    assert registry.making_of(other) is None


def test_a_store_that_cannot_be_reached_costs_a_warning(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = Store(uri="nonsense://nowhere", artifacts=tmp_path, experiment="x", place="x", patience_s=1.0)

    run_id = follow_retraining(store, warnings.append)(cast(Job, SimpleNamespace(folder=tmp_path)), None)

    assert run_id is None
    assert "only that is told" in warnings[0]
