"""What all pages of docs/benchmarks share: figures are measured or read again, then written as tables and plots."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.kept import finite, kept
from pipelines.markdown import figure, table
from pipelines.plots import COLOURS, bar_line, plot
from pipelines.settings import SHIPPED_BUNDLE

__all__ = ["COLOURS", "Bench", "Inputs", "Results", "bar_line", "figure", "kept", "plot", "produce", "run", "table"]

Results = Mapping[str, Any]


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
        figures.write_text(json.dumps(finite(bench.measure(inputs)), indent=1, allow_nan=False) + "\n")
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
