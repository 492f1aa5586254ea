"""A calibration that the tests of its parts share: it is deterministic, and nothing changes it."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipelines.calibrate import Calibration
    from pipelines.scored import Scored


@pytest.fixture(scope="session")
def calibration_cases() -> dict[str, "list[Scored]"]:
    from tests.pipelines.scored_cases import scored_cases

    return scored_cases()


@pytest.fixture(scope="session")
def calibration(calibration_cases: dict[str, "list[Scored]"]) -> "Calibration":
    from pipelines.calibrate import certified

    return certified(calibration_cases, (0.1, 0.2), (0.3,), 0.05)
