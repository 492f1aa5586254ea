"""Every run is one MLflow run: what decided, with which settings, what came out.

Nothing here can stop or delay a run by more than a few seconds: MLflow works in a thread of its own while the cases are
decided, and what it cannot do ends as one warning. No patient is in it: pseudonyms and numbers, and the run's report.
Only this file and its neighbours `tracking_*` import MLflow.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.outcome import Outcome, RunResult
from pipelines.settings import Settings
from pipelines.tracking_store import Store, connect, experiment_id
from triage import __version__
from triage.verdict import BundleId

if TYPE_CHECKING:
    from mlflow import MlflowClient

UPLOAD_S = 60.0
"""How long a store that answers may take for the results."""
UNTRACKED = {"out", "state", "bundle", "review_url", "tracking"}
"""Settings that name places of this machine."""
PLACE = "place"


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
