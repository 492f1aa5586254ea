"""One case: the order of its steps, and what they hand to each other."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.run_case import Stage, case_seed, run_case, run_refused
from tests.builders import a_case, a_refused_input
from tests.fakes import FakeEngine, InMemoryQueue, RecordingWriter, fake_tools
from triage.verdict import Report, Route

digests = st.text("0123456789abcdef", min_size=64, max_size=64)


def test_a_case_is_read_predicted_decided_written_and_then_settled(tmp_path: Path) -> None:
    stages: list[Stage] = []
    run_case(a_case(), fake_tools(), folder=tmp_path, enter=stages.append)

    assert stages == [Stage.READ, Stage.PREDICT, Stage.DECIDE, Stage.WRITE, Stage.SETTLE]


def test_every_writer_gets_the_report_and_the_folder(tmp_path: Path) -> None:
    writers = {name: RecordingWriter(f"{name}.json") for name in ("one", "two")}
    run_case(a_case("case-1"), fake_tools(writers=writers), folder=tmp_path, enter=lambda _: None)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]
    assert [writer.written for writer in writers.values()] == [["case-1"], ["case-1"]]


def test_the_report_holds_case_verdict_bundle_volume_and_prediction(tmp_path: Path) -> None:
    case, engine = a_case(), FakeEngine(doubt=7.0)
    report = run_case(case, fake_tools(engine=engine), folder=tmp_path, enter=lambda _: None)

    assert (report.case, report.bundle, report.verdict.route) == (case, engine.bundle, Route.HUMAN_REVIEW)
    assert report.volume is not None
    assert report.prediction is not None


def test_a_case_is_not_settled_when_a_writer_fails(tmp_path: Path) -> None:
    queue = InMemoryQueue()
    tools = fake_tools(queue, writers={"broken": RecordingWriter(raises=OSError("disk full"))})

    with pytest.raises(OSError, match="disk full"):
        run_case(a_case(), tools, folder=tmp_path, enter=lambda _: None)
    assert queue.decided == {}


def test_a_refused_input_is_written_and_settled_without_an_image(tmp_path: Path) -> None:
    queue = InMemoryQueue()
    report: Report = run_refused(a_refused_input("case-9"), fake_tools(queue), folder=tmp_path, enter=lambda _: None)

    assert (report.verdict.route, report.volume, report.prediction) == (Route.REFUSED, None, None)
    assert [item.pseudonym for item in queue.open_items()] == ["case-9"]


def test_the_same_content_under_the_same_bundle_draws_the_same_samples_whatever_came_before(tmp_path: Path) -> None:
    alone, second = FakeEngine(), FakeEngine()
    run_case(a_case("b"), fake_tools(engine=alone), folder=tmp_path, enter=lambda _: None)
    for pseudonym in ("a", "b"):
        run_case(a_case(pseudonym), fake_tools(engine=second), folder=tmp_path, enter=lambda _: None)

    assert second.seeds[1:] == alone.seeds


@given(base=st.integers(0, 1000), content=digests, bundle=digests, other=digests)
def test_a_seed_fits_32_bits_and_depends_on_base_content_and_bundle(
    base: int, content: str, bundle: str, other: str
) -> None:
    seed = case_seed(base, content, bundle)

    assert 0 <= seed < 2**32
    assert seed == case_seed(base, content, bundle)
    assert seed != case_seed(base + 1, content, bundle)
    assert (seed == case_seed(base, other, bundle)) == (content == other)
    assert (seed == case_seed(base, content, other)) == (bundle == other)
