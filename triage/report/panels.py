"""The pictures of a case folder made ready for a page: data URIs and where the crosshair stands."""

import base64
import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from triage.report.as_figures import ENTROPY, FIGURES, IMAGE, SEGMENTATION, THUMBNAIL, layer_name, spot_name
from triage.report.summary import DecidedCase
from triage.report.views import AXIAL, VIEWS, View, position
from triage.verdict import Spot

SCALE_BAR_MM = 50
SMALLEST_RING_MM, LARGEST_RING_MM = 6, 40


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotPanel:
    """The axial slice through one spot. width, height, x, y, radius: millimetres; a ball of that radius has its ml.

    shown: whether it is the slice of the case's axial view, whose pictures the page then shows again.
    """

    spot: Spot
    shown: bool
    width: int
    height: int
    image: str
    entropy: str
    x: float
    y: float
    radius: float


def panels(case: DecidedCase) -> tuple[Panel, ...]:
    """The three views of a case; none where one is missing or cannot be opened."""
    try:
        return tuple(_panel(case, view, case.folder / FIGURES) for view in VIEWS)
    except OSError:  # the page of all cases must not fail by the picture of one
        return ()


def spot_panels(case: DecidedCase) -> tuple[SpotPanel, ...]:
    """The spots of a flagged case, worst first; none where a picture is missing or cannot be opened."""
    interpretation = case.verdict.interpretation
    spots = interpretation.spots if interpretation else ()
    try:
        return tuple(_spot_panel(case, spot, number) for number, spot in enumerate(spots))
    except OSError:
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


def _spot_panel(case: DecidedCase, spot: Spot, number: int) -> SpotPanel:
    folder, place = case.folder / FIGURES, case.verdict.place
    with Image.open(folder / spot_name(number, IMAGE)) as picture:
        width, height = picture.size
    x, y = position(AXIAL, spot.place.conformed, (width, height))
    return SpotPanel(
        spot=spot,
        shown=place is not None and place.conformed[AXIAL.axis] == spot.place.conformed[AXIAL.axis],
        width=width,
        height=height,
        image=_data_uri(folder / spot_name(number, IMAGE)),
        entropy=_data_uri(folder / spot_name(number, ENTROPY)),
        x=x,
        y=y,
        radius=min(max((1000 * spot.ml * 3 / (4 * math.pi)) ** (1 / 3), SMALLEST_RING_MM), LARGEST_RING_MM),
    )


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
