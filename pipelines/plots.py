"""Plots in one style, as PNG: of the pages of docs/benchmarks, and of what commands write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def fewer_colours(path: Path) -> None:
    """A third of a PNG's bytes, and nothing that the eye misses."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(96)
    small.save(path, optimize=True)
