"""The pictures of a case folder made ready for a page: data URIs and where the crosshair stands."""

import base64
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from triage.report.as_figures import ENTROPY, FIGURES, IMAGE, SEGMENTATION, THUMBNAIL, layer_name
from triage.report.summary import DecidedCase
from triage.report.views import VIEWS, View, position

SCALE_BAR_MM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One view of one case. width, height, x, y: millimetres. x, y, at: the place to look at, if there is one."""

    view: View
    width: int
    height: int
    image: str
    segmentation: str
    entropy: str
    at: str | None
    x: float | None
    y: float | None


def panels(case: DecidedCase) -> tuple[Panel, ...]:
    """The three views of a case; none where one is missing or cannot be opened."""
    try:
        return tuple(_panel(case, view, case.folder / FIGURES) for view in VIEWS)
    except OSError:  # the page of all cases must not fail by the picture of one
        return ()


def thumbnail(case: DecidedCase) -> str | None:
    """The small picture of a case as a data URI."""
    path = case.folder / FIGURES / THUMBNAIL
    return _data_uri(path) if path.is_file() else None


def side_mm(axis: int, ras_mm: float) -> str:
    """A RAS+ coordinate as a reader says it, "R 34 mm" or "L 34 mm"."""
    toward, away = (("R", "L"), ("A", "P"), ("S", "I"))[axis]
    return f"{toward if ras_mm >= 0 else away} {abs(ras_mm):.0f} mm"


def _panel(case: DecidedCase, view: View, folder: Path) -> Panel:
    with Image.open(folder / layer_name(view, IMAGE)) as picture:
        width, height = picture.size
    place = case.verdict.place
    x, y = position(view, place.conformed, (width, height)) if place else (None, None)
    return Panel(
        view=view,
        width=width,
        height=height,
        image=_data_uri(folder / layer_name(view, IMAGE)),
        segmentation=_data_uri(folder / layer_name(view, SEGMENTATION)),
        entropy=_data_uri(folder / layer_name(view, ENTROPY)),
        at=side_mm(view.axis, place.ras_mm[view.axis]) if place else None,
        x=x,
        y=y,
    )


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
