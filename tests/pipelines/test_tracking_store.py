"""Runs are kept where the settings say; trainings have an experiment of their own."""

import pytest

from pipelines.settings import Settings, Tracking
from pipelines.tracking_store import run_store, training_store


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


def test_trainings_have_an_experiment_of_their_own() -> None:
    assert training_store(Settings()).experiment == f"{run_store(Settings()).experiment}-training"
