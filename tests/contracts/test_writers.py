"""Every writer keeps the same promises, whatever its format."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.builders import a_prediction, a_written_case
from tests.verdicts import BUNDLE, PROMISE, a_flagged_report, a_refused_report, an_accepted_report
from triage.case import Case
from triage.report import WRITERS
from triage.report.as_json import REPORT
from triage.verdict import Reason, Report, Route, Verdict

CANARY_FOLDER = "JOHN^DOE-1931"


def a_failed_report(case: Case) -> Report:
    """A case that was read but could not be segmented."""
    reason = Reason(signal="failed", text="No answer.", value=math.nan, limit=math.nan, part=0.0, action="Look.")
    verdict = Verdict(
        route=Route.HUMAN_REVIEW,
        score=math.nan,
        limit=1.0,
        signals=(),
        reasons=(reason,),
        action="Look.",
        place=None,
        promise=PROMISE,
    )
    return Report(case=case, verdict=verdict, bundle=BUNDLE)


REPORTS: dict[str, Callable[[Case], Report]] = {
    "accepted": an_accepted_report,
    "flagged": a_flagged_report,
    "flagged without a prediction": a_failed_report,
    "refused": lambda _: a_refused_report(),
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return a_written_case(tmp_path_factory.mktemp("inbox") / CANARY_FOLDER)


def written(writer: str, report: Report, folder: Path) -> list[Path]:
    folder.mkdir()
    WRITERS[writer](report, folder)
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ["accepted", "flagged"])
def test_every_writer_writes_a_decided_case(writer: str, kind: str, case: Case, tmp_path: Path) -> None:
    files = written(writer, REPORTS[kind](case), tmp_path / "out")

    assert files
    assert all(path.stat().st_size > 0 for path in files)


@pytest.mark.parametrize("kind", ["refused", "flagged without a prediction"])
def test_without_a_prediction_there_is_a_report_and_nothing_else(kind: str, case: Case, tmp_path: Path) -> None:
    files = {p.name for writer in WRITERS for p in written(writer, REPORTS[kind](case), tmp_path / writer)}

    assert files == {REPORT}


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "dicom_seg"])
@pytest.mark.parametrize("kind", REPORTS)
def test_no_writer_but_the_dicom_seg_tells_a_uid_or_a_path(writer: str, kind: str, case: Case, tmp_path: Path) -> None:
    canaries = [case.structural.uid.encode(), CANARY_FOLDER.encode(), b"inbox"]

    files = written(writer, REPORTS[kind](case), tmp_path / "out")

    assert [(p.name, c) for p in files for c in canaries if c in p.read_bytes()] == []


def test_the_dicom_seg_names_its_study_but_no_path(case: Case, tmp_path: Path) -> None:
    (path,) = written("dicom_seg", an_accepted_report(case), tmp_path / "out")

    assert case.structural.uid.encode() in path.read_bytes()
    assert CANARY_FOLDER.encode() not in path.read_bytes()


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "dicom_seg"])
def test_a_report_written_twice_is_the_same_bytes(writer: str, case: Case, tmp_path: Path) -> None:
    first = written(writer, a_flagged_report(case), tmp_path / "first")
    second = written(writer, a_flagged_report(case), tmp_path / "second")

    assert [p.read_bytes() for p in sorted(first)] == [p.read_bytes() for p in sorted(second)]


@pytest.mark.parametrize("writer", WRITERS)
def test_every_writer_survives_an_empty_segmentation(writer: str, case: Case, tmp_path: Path) -> None:
    report = an_accepted_report(case, a_prediction(np.zeros((64, 76, 64), np.uint8)))

    written(writer, report, tmp_path / "out")
