"""The stress ladder on the command line."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import pipelines.stress
from pipelines.cli import main
from pipelines.settings import Settings
from pipelines.stress import Rung, Step
from tests.pipelines.rungs import a_rung


def test_stress_tells_every_step_while_it_goes_and_then_where_the_page_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def climb(
        inbox: Path, settings: Settings, path: Sequence[Step], *, labels: Path | None, tell: Callable[[Rung], None]
    ) -> list[Rung]:
        rungs = [a_rung(), *(a_rung(kind, level, score=level) for kind, level in path)]
        for rung in rungs:
            tell(rung)
        return rungs

    monkeypatch.setattr(pipelines.stress, "stress", climb)

    status = main(["stress", "scan", "--kinds", "noise", "--levels", "1,3", "--out", str(tmp_path / "ladder")])

    *told, last = capsys.readouterr().out.splitlines()
    assert status == 0
    assert [line.split()[1:3] for line in told[1:]] == [["noise", "1"], ["noise", "3"]]
    assert last == f"Stress ladder: {tmp_path / 'ladder' / 'stress.md'}"
    assert "self-agreement" in (tmp_path / "ladder" / "stress.md").read_text()
