"""What the operator sees while a run goes."""

import io

import pytest
from rich.console import Console

import pipelines.progress
from pipelines.progress import Unwatched, watching
from pipelines.run_case import Stage


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal of 120 columns."""
    screen = io.StringIO()
    monkeypatch.setattr(
        pipelines.progress, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=120)
    )
    return screen


@pytest.mark.parametrize(("stage", "word"), [(Stage.READ, "reading"), (Stage.PREDICT, "segmenting")])
def test_the_bar_shows_the_case_and_its_stage(terminal: io.StringIO, stage: Stage, word: str) -> None:
    with watching(quiet=False) as watch:
        watch.begin(3)
        watch.enter("bt-abc", stage)

    assert f"bt-abc {word}" in terminal.getvalue()


def test_the_bar_counts_the_cases_and_shows_an_estimate(terminal: io.StringIO) -> None:
    with watching(quiet=False) as watch:
        watch.begin(3)

    assert "0/3" in terminal.getvalue()
    assert "left" in terminal.getvalue()


def test_every_stage_has_a_word() -> None:
    assert set(pipelines.progress.SAYS) == set(Stage)


def test_nothing_is_shown_when_quiet(terminal: io.StringIO) -> None:
    with watching(quiet=True) as watch:
        watch.begin(3)

    assert isinstance(watch, Unwatched)
    assert terminal.getvalue() == ""
