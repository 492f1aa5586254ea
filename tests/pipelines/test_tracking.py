"""One run is one MLflow run, whole and nobody else's; and MLflow can never stop a run."""

import getpass
import json
import math
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.training import CHECKPOINT
from pipelines import training_folder
from pipelines.outcome import Outcome, RunResult
from pipelines.settings import Settings, Tracking
from pipelines.tracking import (
    Store,
    TrackedRun,
    case_table,
    follow_training,
    import_training,
    run_metrics,
    run_params,
    run_store,
    run_tags,
    training_store,
)
from tests.builders import BUNDLE
from triage.errors import Code, TriageError
from triage.verdict import Route

ACCEPTED = Outcome(
    pseudonym="bt-one",
    content_sha256="a" * 64,
    route=Route.ACCEPTED,
    code=None,
    score=0.25,
    limit=1.0,
    signals={"worst_patch": 0.125, "prior_conflict": math.nan},
    seconds={"read": 1.0, "predict": 4.0},
)
REFUSED = replace(
    ACCEPTED,
    pseudonym="bt-two",
    route=Route.REFUSED,
    code=Code.MISSING_SLICE,
    score=math.nan,
    signals={},
    seconds={"decide": 0.5},
)
RESULT = RunResult(
    bundle=BUNDLE,
    outcomes=(ACCEPTED, REFUSED),
    skipped={"CT": 3, "report": 1},
    seconds=12.5,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A SQLite store; made once, since MLflow needs seconds for an empty database."""
    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return run_store(Settings(out=folder / "out", state=folder))


def client(store: Store) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def track(store: Store, result: RunResult = RESULT, **finish: Any) -> TrackedRun:
    tracked = TrackedRun(store)
    tracked.start(params={"seed": 7}, tags=run_tags(result.bundle))
    tracked.finish("FINISHED", result, **finish)
    return tracked


@pytest.fixture(scope="module")
def run(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One run as MLflow gives it back."""
    page = tmp_path_factory.mktemp("page") / "index.html"
    page.write_text("<html>the report</html>")
    tracked = track(store, files=(page,))
    assert tracked.warning is None
    return client(store).get_run(tracked.run_id)


def artifact(store: Store, run: Any, name: str) -> str:
    from mlflow.artifacts import download_artifacts

    path = download_artifacts(run_id=run.info.run_id, artifact_path=name, tracking_uri=store.uri)
    return Path(path).read_text()


def test_a_run_names_the_bundle_that_decided_and_the_software(run: Any) -> None:
    assert run.data.tags["bundle.digest"] == BUNDLE.digest
    assert run.data.tags["bundle.name"] == BUNDLE.name
    assert run.data.tags["software.version"]


def test_a_run_holds_settings_counts_and_timings(run: Any) -> None:
    assert run.data.params == {"seed": "7"}
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {
        "cases": 2,
        "cases_decided_now": 2,
        "cases_accepted": 1,
        "cases_human_review": 0,
        "cases_refused": 1,
        "files_left_alone": 4,
        "seconds": 12.5,
        "seconds_read_mean": 0.5,
        "seconds_predict_mean": 2.0,
        "seconds_decide_mean": 0.25,
    }


def test_the_signals_of_every_case_are_a_table(store: Store, run: Any) -> None:
    table = json.loads(artifact(store, run, "cases.json"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]

    assert [row["pseudonym"] for row in rows] == ["bt-one", "bt-two"]
    assert rows[0]["signal.worst_patch"] == 0.125
    assert rows[0]["signal.prior_conflict"] is None
    assert (rows[1]["code"], rows[1]["score"]) == ("MISSING_SLICE", None)


def test_the_report_of_the_run_is_an_artifact(store: Store, run: Any) -> None:
    assert artifact(store, run, "index.html") == "<html>the report</html>"


def test_artifacts_lie_in_the_state_folder(store: Store, run: Any) -> None:
    assert store.artifacts is not None
    assert run.info.artifact_uri.startswith(store.artifacts.as_uri())


def test_neither_the_account_nor_a_folder_of_the_machine_is_in_a_run(run: Any) -> None:
    told = json.dumps([run.data.tags, run.data.params, run.info.user_id])

    assert run.data.tags["mlflow.user"] == "operator"
    assert "/" not in told
    assert getpass.getuser() not in told


def test_the_parameters_leave_out_the_places_of_this_machine() -> None:
    settings = Settings(out=Path("/secret/out"), state=Path("/secret/state"), bundle=Path("/secret/bundle"))

    assert "secret" not in json.dumps(run_params(settings))
    assert run_params(settings)["threads"] == settings.threads


def test_two_runs_in_one_process_do_not_mix(store: Store) -> None:
    one, two = TrackedRun(store), TrackedRun(replace(store, place="elsewhere"))
    for tracked, seed in ((one, 1), (two, 2)):
        tracked.start(params={"seed": seed}, tags={})
    two.finish("FINISHED", replace(RESULT, seconds=2.0))
    one.finish("KILLED", replace(RESULT, seconds=1.0))

    found = {name: client(store).get_run(tracked.run_id) for name, tracked in (("one", one), ("two", two))}
    assert {name: run.data.params["seed"] for name, run in found.items()} == {"one": "1", "two": "2"}
    assert {name: run.data.metrics["seconds"] for name, run in found.items()} == {"one": 1.0, "two": 2.0}
    assert {name: run.info.status for name, run in found.items()} == {"one": "KILLED", "two": "FINISHED"}


def test_tracking_leaves_the_active_run_of_the_process_alone(store: Store, run: Any) -> None:
    import mlflow

    assert mlflow.active_run() is None


def test_a_run_that_was_killed_is_marked_so_by_the_next_one_in_its_folder(store: Store) -> None:
    dead, elsewhere = (TrackedRun(replace(store, place=place)) for place in ("here", "there"))
    for tracked in (dead, elsewhere):
        tracked.start(params={}, tags={})
        assert tracked._work is not None
        tracked._work.join()
    track(replace(store, place="here"))

    assert client(store).get_run(dead.run_id).info.status == "KILLED"
    assert client(store).get_run(elsewhere.run_id).info.status == "RUNNING"


def test_a_run_without_cases_has_no_table_and_no_means() -> None:
    empty = replace(RESULT, outcomes=())

    assert run_metrics(empty)["cases"] == 0
    assert not any(name.endswith("_mean") for name in run_metrics(empty))
    assert case_table(())["pseudonym"] == []


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def lost(store: Store, uri: str, **changes: Any) -> tuple[str | None, float]:
    import mlflow  # noqa: F401  its load is not what is timed

    began = time.monotonic()
    tracked = track(replace(store, uri=uri, artifacts=None, **changes))
    return tracked.warning, time.monotonic() - began


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "bogus://nothing", "sqlite:////dev/null/mlflow.db"])
def test_a_store_that_is_away_costs_one_warning(store: Store, uri: str) -> None:
    warning, seconds = lost(store, uri)

    assert warning is not None
    assert "complete all the same" in warning
    assert "\n" not in warning
    assert seconds < 10


def test_a_server_that_never_answers_costs_a_few_seconds(store: Store, silent_server: str) -> None:
    warning, seconds = lost(store, silent_server, patience_s=3.0)

    assert warning is not None
    assert seconds < 5


def test_without_mlflow_there_is_one_warning(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    tracked = track(store)

    assert tracked.warning is not None
    assert "ModuleNotFoundError" in tracked.warning


def test_a_password_in_the_address_is_not_in_the_warning(store: Store) -> None:
    warning, _ = lost(store, "postgresql+nodriver://operator:hunter2@localhost/mlflow")

    assert warning is not None
    assert "hunter2" not in warning


@pytest.mark.parametrize(
    ("setting", "variable", "expected"),
    [("http://a", "http://b", "http://a"), (None, "http://b", "http://b"), (None, None, "sqlite:///")],
)
def test_the_address_is_that_of_the_settings_then_of_the_environment_then_the_state_folder(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, variable: str | None, expected: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if variable:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    chosen = run_store(Settings(tracking=Tracking(uri=setting)))

    assert chosen.uri.startswith(expected)
    assert (chosen.artifacts is None) == expected.startswith("http")


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
    return [(point.step, point.value) for point in client(store).get_metric_history(run_id, name)]


def test_a_training_imported_after_every_report_and_once_more_is_one_run_with_every_value_once(
    store: Store, training: Path
) -> None:
    first = import_training(training, store)
    assert client(store).get_run(first).info.status == "RUNNING"
    add_report(training, REPORTS[1])
    assert {import_training(training, store) for _ in range(2)} == {first}

    assert curve(store, first, "loss") == [(2, 3.5), (4, 3.0)]
    assert curve(store, first, "dice.cortical_grey") == [(2, 0.25), (4, 0.5)]
    assert client(store).get_run(first).info.status == "FINISHED"


def test_a_training_in_mlflow_has_parameters_data_by_digest_pages_and_weights(store: Store, training: Path) -> None:
    run = client(store).get_run(import_training(training, store))

    (data,) = run.inputs.dataset_inputs
    names = {
        item.path for folder in (None, "samples") for item in client(store).list_artifacts(run.info.run_id, folder)
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


def test_trainings_have_an_experiment_of_their_own() -> None:
    assert training_store(Settings()).experiment == f"{run_store(Settings()).experiment}-training"
