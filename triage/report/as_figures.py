"""Pictures of one case: three views through the place to look at, as layers for pages and as one montage.

Slices only, with nothing cropped away: where the segmentation failed is exactly where a crop by it would hide the head.
Nothing is rendered in three dimensions, so no picture shows a face from the front.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from triage.prediction import Prediction
from triage.report import overlays
from triage.report.views import AXIAL, VIEWS, Index, View, cut, inside
from triage.verdict import Report, Spot

FIGURES = "figures"
IMAGE, SEGMENTATION, ENTROPY = "image", "segmentation", "entropy"
MONTAGE, THUMBNAIL = "montage.png", "thumbnail.png"
_SCALE = 2
_GAP = 8
_THUMBNAIL_PIXELS = 160


def as_figures(report: Report, folder: Path) -> None:
    """Writes <view>_<layer>.png, spot_<n>_<layer>.png, montage.png and thumbnail.png of a prediction into figures/."""
    if report.prediction is None:
        return
    out = folder / FIGURES
    out.mkdir(exist_ok=True)
    index = place_of(report, report.prediction)
    panels = {view: _layers(report.prediction, view, index) for view in VIEWS}
    for view, layers in panels.items():
        for name, layer in layers.items():
            layer.save(out / layer_name(view, name), optimize=True)
    for n, spot in enumerate(spots_of(report)):
        layers = _layers(report.prediction, AXIAL, inside(spot.place.conformed, report.prediction.labels.shape))
        for name in (IMAGE, ENTROPY):
            layers[name].save(out / spot_name(n, name), optimize=True)
    rows = [[_marked(_laid_over(layers, top), view) for top in layers] for view, layers in panels.items()]
    _montage(rows).save(out / MONTAGE)
    level = _layers(report.prediction, VIEWS[0], middle_of(report.prediction))
    _thumbnail(_laid_over(level, SEGMENTATION)).save(out / THUMBNAIL, optimize=True)


def layer_name(view: View, layer: str) -> str:
    """File name of one layer of one view."""
    return f"{view.name}_{layer}.png"


def spot_name(number: int, layer: str) -> str:
    """File name of one layer of the axial slice through a spot of the interpretation."""
    return f"spot_{number + 1}_{layer}.png"


def spots_of(report: Report) -> tuple[Spot, ...]:
    """The spots of a flagged case."""
    interpretation = report.verdict.interpretation
    return interpretation.spots if interpretation else ()


def place_of(report: Report, prediction: Prediction) -> Index:
    """The voxel that the views run through: the verdict's place, else the middle of the brain."""
    if report.verdict.place is not None:
        return inside(report.verdict.place.conformed, prediction.labels.shape)
    return middle_of(prediction)


def middle_of(prediction: Prediction) -> Index:
    """The middle of what was segmented, so that thumbnails of cases compare; of the grid where nothing was."""
    labels = prediction.labels
    found = np.argwhere(labels > 0)
    middle = found.mean(axis=0) if len(found) else (np.asarray(labels.shape) - 1) / 2
    return inside((round(middle[0]), round(middle[1]), round(middle[2])), labels.shape)


def _layers(prediction: Prediction, view: View, index: Index) -> dict[str, Image.Image]:
    return {
        IMAGE: overlays.grey(cut(prediction.image, view, index)),
        SEGMENTATION: overlays.segmentation(cut(prediction.labels, view, index)),
        ENTROPY: overlays.entropy(cut(prediction.entropy, view, index)),
    }


def _laid_over(layers: dict[str, Image.Image], top: str) -> Image.Image:
    """The image with one layer over it, `_SCALE` pixels a millimetre."""
    size = (layers[IMAGE].width * _SCALE, layers[IMAGE].height * _SCALE)
    base = layers[IMAGE].resize(size, Image.Resampling.BICUBIC).convert("RGBA")
    if top != IMAGE:
        base.alpha_composite(layers[top].convert("RGBA").resize(size, Image.Resampling.BILINEAR))
    return base.convert("RGB")


def _marked(picture: Image.Image, view: View) -> Image.Image:
    """The picture with the letters of its four sides."""
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=16)
    width, height, edge = picture.width, picture.height, 4
    sides = (
        ((edge, height / 2), "lm", view.left),
        ((width - edge, height / 2), "rm", view.right),
        ((width / 2, edge), "mt", view.top),
        ((width / 2, height - edge), "mb", view.bottom),
    )
    for at, anchor, letter in sides:
        draw.text(at, letter, fill="white", font=font, anchor=anchor, stroke_width=2, stroke_fill="black")
    return picture


def _montage(rows: list[list[Image.Image]]) -> Image.Image:
    """Rows of pictures on black; a row a view, in columns of one width."""
    width = max(picture.width for row in rows for picture in row) + _GAP
    heights = [row[0].height + _GAP for row in rows]
    sheet = Image.new("RGB", (width * len(rows[0]) - _GAP, sum(heights) - _GAP))
    for row, top in zip(rows, np.cumsum([0, *heights[:-1]]), strict=True):
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * width + (width - _GAP - picture.width) // 2, int(top)))
    return sheet


def _thumbnail(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((_THUMBNAIL_PIXELS, _THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    return small.quantize(128)
