"""A training in MLflow is one run with every value once, however often it is told; and MLflow can never stop it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.training import CHECKPOINT
from pipelines import training_folder
from pipelines.tracking_store import Store, connect
from pipelines.tracking_training import follow_training, import_training
from triage.errors import TriageError

REPORTS = (
    {"iteration": 2, "loss": 3.5, "seconds": 1.0, "dice.cortical_grey": 0.25},
    {"iteration": 4, "loss": 3.0, "seconds": 2.0, "dice.cortical_grey": 0.5},
)


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """The folder of a training of four iterations that has made its first report."""
    about = {"label_maps": {"subjects": ["one"], "sha256": "ab" * 32}}
    training_folder.open_folder(tmp_path, {"iterations": 4, "seed": 3}, about)
    for name in (training_folder.WEIGHTS, training_folder.CHECKPOINT):
        (tmp_path / name).write_bytes(b"tensors")
    add_report(tmp_path, REPORTS[0])
    return tmp_path


def add_report(folder: Path, row: dict[str, float]) -> None:
    training_folder.report(folder, row)
    page = folder / training_folder.SAMPLES / training_folder.picture_name(row)
    training_folder.write_png(page, np.zeros((2, 2, 3), np.uint8))


def curve(store: Store, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in connect(store).get_metric_history(run_id, name)]


def test_a_training_imported_after_every_report_and_once_more_is_one_run_with_every_value_once(
    store: Store, training: Path
) -> None:
    first = import_training(training, store)
    assert connect(store).get_run(first).info.status == "RUNNING"
    add_report(training, REPORTS[1])
    assert {import_training(training, store) for _ in range(2)} == {first}

    assert curve(store, first, "loss") == [(2, 3.5), (4, 3.0)]
    assert curve(store, first, "dice.cortical_grey") == [(2, 0.25), (4, 0.5)]
    assert connect(store).get_run(first).info.status == "FINISHED"


def test_a_training_in_mlflow_has_parameters_data_by_digest_pages_and_weights(store: Store, training: Path) -> None:
    run = connect(store).get_run(import_training(training, store))

    (data,) = run.inputs.dataset_inputs
    names = {
        item.path for folder in (None, "samples") for item in connect(store).list_artifacts(run.info.run_id, folder)
    }
    assert run.data.params == {"iterations": "4", "seed": "3"}
    assert (data.dataset.name, data.dataset.digest) == ("label_maps", ("ab" * 32)[:36])
    assert {"run.json", "metrics.jsonl", "network.safetensors", "samples/0000002.png"} <= names
    assert CHECKPOINT in names
    assert str(training) not in json.dumps([run.data.tags, run.data.params, data.dataset.source])


def test_a_store_that_is_away_costs_a_training_one_warning_a_report(store: Store, training: Path) -> None:
    warnings: list[str] = []

    follow_training(replace(store, uri="bogus://nothing"), warnings.append)(training)

    assert len(warnings) == 1
    assert "track import" in warnings[0]


def test_a_folder_without_a_training_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(TriageError, match="holds no training"):
        import_training(tmp_path, store)
