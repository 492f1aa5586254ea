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

import pytest

from pipelines.outcome import Outcome, RunResult
from pipelines.settings import Settings
from pipelines.tracking import TrackedRun, case_table, run_metrics, run_params, run_tags
from pipelines.tracking_store import Store, connect
from tests.verdicts import BUNDLE
from triage.errors import Code
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
    return connect(store).get_run(tracked.run_id)


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

    found = {name: connect(store).get_run(tracked.run_id) for name, tracked in (("one", one), ("two", two))}
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

    assert connect(store).get_run(dead.run_id).info.status == "KILLED"
    assert connect(store).get_run(elsewhere.run_id).info.status == "RUNNING"


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
