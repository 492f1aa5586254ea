"""What all pages of docs/benchmarks share: figures are measured or read again, then written as tables and plots."""

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.markdown import figure, table
from pipelines.settings import SHIPPED_BUNDLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["COLOURS", "Bench", "Inputs", "Results", "bar_line", "figure", "kept", "plot", "produce", "run", "table"]

Results = Mapping[str, Any]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Told apart by colour-blind readers too. Source: Okabe and Ito 2008, Color Universal Design."""
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "figure.dpi": 110,
}
_DPI = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """data: folder that holds cases.csv. cache: folder for what takes long. bundle: folder of the model."""

    data: Path
    cache: Path
    bundle: Path = SHIPPED_BUNDLE

    @property
    def cases(self) -> Path:
        """The table of real scans."""
        return self.data / "cases.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """measure: figures, JSON-ready. write: saves plots as PNG in a folder and gives the page's text, Markdown."""

    name: str
    measure: Callable[[Inputs], Results]
    write: Callable[[Results, Path], str]


def produce(bench: Bench, inputs: Inputs | None, folder: Path) -> Path:
    """Write <name>.json, its plots and <name>.md. inputs: None keeps the figures of the last time."""
    figures = folder / f"{bench.name}.json"
    if inputs is not None:
        folder.mkdir(parents=True, exist_ok=True)
        figures.write_text(json.dumps(_finite(bench.measure(inputs)), indent=1, allow_nan=False) + "\n")
    page = folder / f"{bench.name}.md"
    page.write_text(bench.write(json.loads(figures.read_text()), folder).rstrip() + "\n")
    return page


def run(benches: Sequence[Bench], arguments: Sequence[str] | None = None) -> None:
    """The command line of one page or of all."""
    parser = argparse.ArgumentParser(description="Measure, and write docs/benchmarks.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds cases.csv")
    parser.add_argument("--cache", type=Path, default=Path("out/bench"), help="folder for what takes long")
    parser.add_argument("--bundle", type=Path, default=SHIPPED_BUNDLE, help="folder of the model")
    parser.add_argument("--pages", type=Path, default=Path("docs/benchmarks"), help="folder to write into")
    parser.add_argument("--rewrite", action="store_true", help="keep the figures, write tables and plots again")
    args = parser.parse_args(arguments)
    inputs = None if args.rewrite else Inputs(data=args.data, cache=args.cache, bundle=args.bundle)
    for bench in benches:
        print(produce(bench, inputs, args.pages), flush=True)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What was made before, from its JSON file; else it is made now and written there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(_finite(make()), allow_nan=False))
    return json.loads(path.read_text())


@contextmanager
def plot(path: Path, *, columns: int = 1, rows: int = 1, inches: tuple[float, float] = (7.0, 3.4)) -> Iterator[Any]:
    """Axes to draw on in the style of all plots, one or an array of them, saved as a PNG at the end."""
    import matplotlib as mpl

    mpl.use("Agg")
    from cycler import cycler
    from matplotlib import pyplot

    with mpl.rc_context({**_STYLE, "axes.prop_cycle": cycler(color=COLOURS)}):
        drawn, axes = pyplot.subplots(rows, columns, figsize=inches, layout="constrained")
        try:
            yield axes
            drawn.savefig(path, dpi=_DPI, metadata={"Software": None})
        finally:
            pyplot.close(drawn)


def bar_line(axes: "Axes", value: float, text: str) -> None:
    """A dashed horizontal line with its name, such as a goal."""
    axes.axhline(value, color="#555555", linestyle=(0, (4, 3)), linewidth=1)
    axes.annotate(text, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="#555555")


def _finite(value: Any) -> Any:
    """The same figures with None for what is no number, which JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
