"""A calibration, an MLflow store and a command line that the tests of their parts share."""

from typing import TYPE_CHECKING

import pytest

from pipelines.settings import Settings
from tests.pipelines.command_line import command

if TYPE_CHECKING:
    from pipelines.calibrate import Calibration
    from pipelines.scored import Scored
    from pipelines.tracking_store import Store

__all__ = ["command"]


@pytest.fixture(scope="session")
def calibration_cases() -> dict[str, "list[Scored]"]:
    """Deterministic, and nothing changes them."""
    from tests.pipelines.scored_cases import scored_cases

    return scored_cases()


@pytest.fixture(scope="session")
def calibration(calibration_cases: dict[str, "list[Scored]"]) -> "Calibration":
    from pipelines.calibrate import certified

    return certified(calibration_cases, (0.1, 0.2), (0.3,), 0.05)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> "Store":
    """SQLite; made once, since MLflow needs seconds for an empty database."""
    from pipelines.tracking_store import run_store

    folder = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return run_store(Settings(out=folder / "out", state=folder))
