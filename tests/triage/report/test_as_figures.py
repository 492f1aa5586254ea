"""The pictures of a case show what is there, where it is, and no more."""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from tests.builders import a_prediction
from tests.verdicts import a_flagged_report, a_flagged_verdict, a_place, an_accepted_report, an_interpretation
from triage.anatomy import LESION, STRUCTURES
from triage.report import overlays
from triage.report.as_figures import FIGURES, MONTAGE, THUMBNAIL, as_figures, layer_name, place_of, spot_name
from triage.report.views import VIEWS


def rgba(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGBA"))


def test_a_case_gets_three_layers_in_three_views_a_montage_and_a_thumbnail(tmp_path: Path) -> None:
    as_figures(an_accepted_report(), tmp_path)

    layers = {layer_name(view, layer) for view in VIEWS for layer in ("image", "segmentation", "entropy")}
    assert {p.name for p in (tmp_path / FIGURES).iterdir()} == {*layers, MONTAGE, THUMBNAIL}


def test_every_spot_of_a_flagged_case_gets_its_axial_slice_with_the_entropy(tmp_path: Path) -> None:
    report = a_flagged_report()
    assert report.prediction is not None
    spots = an_interpretation().spots

    as_figures(report, tmp_path)

    assert len(list((tmp_path / FIGURES).glob("spot_*"))) == 2 * len(spots)
    for n, spot in enumerate(spots):
        with Image.open(tmp_path / FIGURES / spot_name(n, "image")) as picture:
            expected = overlays.grey(report.prediction.image[:, :, spot.place.conformed[2]][::-1, ::-1].T)
            assert np.array_equal(np.asarray(picture), np.asarray(expected))


def test_the_views_run_through_the_worst_place(tmp_path: Path) -> None:
    as_figures(a_flagged_report(), tmp_path)

    red = np.array(STRUCTURES[LESION - 1].rgb)
    for view in VIEWS:
        with Image.open(tmp_path / FIGURES / layer_name(view, "segmentation")) as layer:
            assert (rgba(layer)[..., :3] == red).all(axis=-1).any()


def test_the_lesion_of_the_right_hemisphere_is_on_the_left_of_the_picture(tmp_path: Path) -> None:
    as_figures(a_flagged_report(), tmp_path)

    with Image.open(tmp_path / FIGURES / layer_name(VIEWS[0], "segmentation")) as layer:
        columns = np.nonzero((rgba(layer)[..., :3] == STRUCTURES[LESION - 1].rgb).all(axis=-1))[1]
        assert columns.max() < layer.width / 2


def test_without_a_place_the_views_run_through_the_middle_of_the_brain() -> None:
    report = a_flagged_report(verdict=a_flagged_verdict(place=None))
    assert report.prediction is not None

    index = place_of(report, report.prediction)

    assert report.prediction.labels[index] > 0


def test_thumbnails_show_the_same_level_wherever_the_place_is(tmp_path: Path) -> None:
    thumbnails = []
    for place in (a_place(), None):
        as_figures(a_flagged_report(verdict=a_flagged_verdict(place=place)), tmp_path)
        thumbnails.append((tmp_path / FIGURES / THUMBNAIL).read_bytes())

    assert thumbnails[0] == thumbnails[1]


def test_a_place_outside_the_grid_still_makes_pictures(tmp_path: Path) -> None:
    i, j, _ = a_place().conformed
    place = a_flagged_verdict().place
    assert place is not None
    beyond = type(place)(conformed=(i, j, 999), scanner=(0, 0, 0), ras_mm=place.ras_mm, structure="Lesion")

    as_figures(a_flagged_report(verdict=a_flagged_verdict(place=beyond)), tmp_path)

    assert (tmp_path / FIGURES / MONTAGE).is_file()


def test_background_and_certain_voxels_are_clear() -> None:
    labels = np.zeros((8, 8), np.uint8)

    assert not rgba(overlays.segmentation(labels))[..., 3].any()
    assert not rgba(overlays.entropy(np.zeros((8, 8), np.float32)))[..., 3].any()


def test_entropy_that_is_not_a_number_is_shown_at_the_top_of_the_scale() -> None:
    (pixel,) = rgba(overlays.entropy(np.full((1, 1), math.nan, np.float32)))[0]

    assert tuple(pixel[:3]) == overlays.entropy_colours(2)[-1]
    assert pixel[3] > 200


def test_more_entropy_is_more_opaque() -> None:
    ramp = np.linspace(0, overlays.ENTROPY_TOP_NATS, 40, dtype=np.float32)[None]

    alpha = rgba(overlays.entropy(ramp))[0, :, 3].astype(int)

    assert (np.diff(alpha) >= 0).all()
    assert alpha[-1] > alpha[0]


def test_an_image_that_is_not_a_number_is_black() -> None:
    picture = overlays.grey(np.array([[np.nan, 0.0, 1.0, 9.0]], np.float32))

    assert np.asarray(picture).tolist() == [[0, 0, 255, 255]]


def test_a_segmentation_that_fills_one_voxel_is_drawn() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[4, 4] = LESION

    assert rgba(overlays.segmentation(labels))[..., 3].any()


def test_the_figures_of_a_whole_head_stay_small(tmp_path: Path) -> None:
    as_figures(a_flagged_report(prediction=a_prediction()), tmp_path)

    layers = [tmp_path / FIGURES / layer_name(v, name) for v in VIEWS for name in ("image", "segmentation", "entropy")]
    assert sum(path.stat().st_size for path in layers) < 180_000
