"""A page: figures measured once, written as often as wanted."""

import json
import math
import shutil
from pathlib import Path

import pytest

from pipelines.bench.__main__ import BENCHES
from pipelines.bench.cost import against, in_time
from pipelines.bench.page import Bench, Inputs, Results, figure, plot, produce, table

PAGES = Path(__file__).parents[3] / "docs" / "benchmarks"
INPUTS = Inputs(data=Path("nowhere"), cache=Path("nowhere"))


def counted(measured: list[Inputs]) -> Bench:
    """A page that notes each time it is measured."""

    def measure(inputs: Inputs) -> Results:
        measured.append(inputs)
        return {"value": 0.5, "unknown": math.nan, "series": (1.0, math.inf)}

    return Bench(name="counted", measure=measure, write=lambda results, _: table(["value"], [[results["value"]]]))


def test_a_page_is_written_again_from_its_kept_figures(tmp_path: Path) -> None:
    measured: list[Inputs] = []
    first = produce(counted(measured), INPUTS, tmp_path).read_text()
    (tmp_path / "counted.md").unlink()

    again = produce(counted(measured), None, tmp_path).read_text()

    assert again == first
    assert len(measured) == 1


def test_what_is_no_number_is_null_in_the_kept_figures(tmp_path: Path) -> None:
    produce(counted([]), INPUTS, tmp_path)

    kept = json.loads((tmp_path / "counted.json").read_text(), parse_constant=pytest.fail)
    assert kept == {"value": 0.5, "unknown": None, "series": [1.0, None]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.8764, ".876"), (-0.25, "-.250"), (10.5, "10.500"), (None, "-"), (math.nan, "-"), ("GM", "GM"), (12, "12")],
)
def test_a_figure_is_shown_as_papers_show_it(value: object, shown: str) -> None:
    assert figure(value) == shown


def test_a_budget_that_is_not_met_says_so() -> None:
    assert against(15.0, 15, "s") == "15 s"
    assert against(15.1, 15, "s") == "15 s: **not met**"


def test_a_budget_of_time_is_not_judged_while_the_machine_is_busy() -> None:
    assert in_time(15.1, 15, busy=True) == "15 s"
    assert in_time(15.1, 15, busy=False) == "15 s: **not met**"


def test_a_plot_is_a_png_that_repeats_to_the_byte(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        with plot(tmp_path / name) as axes:
            axes.plot([0, 1], [1, 0])

    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_every_page_has_a_name_of_its_own() -> None:
    names = [bench.name for bench in BENCHES]

    assert len(set(names)) == len(names)


def test_every_page_is_one_of_the_benches_and_every_bench_has_its_page_and_figures() -> None:
    names = {bench.name for bench in BENCHES}

    assert {path.stem for path in PAGES.glob("*.md")} == names
    assert {path.stem for path in PAGES.glob("*.json")} == names


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
def test_a_committed_page_is_what_its_figures_say(bench: Bench, tmp_path: Path) -> None:
    for figures in PAGES.glob("*.json"):  # one page may quote the figures of another
        shutil.copy(figures, tmp_path)

    again = produce(bench, None, tmp_path).read_text()

    assert again == (PAGES / f"{bench.name}.md").read_text()
