"""One case: its pictures, why it is here, what was measured, what was said of it, and the form of the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from triage.anatomy import STRUCTURES
from triage.measurements import Measurement
from triage.report.as_figures import FIGURES, IMAGE, layer_name
from triage.report.as_nifti import CONFLICT, ENTROPY, SEGMENTATION
from triage.report.as_nifti import IMAGE as VOLUME
from triage.report.decomposition import Decomposition, decompose
from triage.report.explanation import explain, spot_title
from triage.report.overlays import ENTROPY_TOP_NATS, entropy_colours
from triage.report.panels import side_mm
from triage.report.summary import DecidedCase, load_case, reason_titles
from triage.report.views import VIEWS
from triage.review.records import CaseFile
from triage.review.words import CODES, ReaderVerdict
from triage.verdict import Place
from triage.web.entrance import CaseFolder, Pseudonym, Somebody, TheSite
from triage.web.render import page
from triage.web.usual import Range

CONFLICT_TOP_NATS = 2.0
"""Top of the conflict scale: a thousandth of a healthy brain's voxels lie above 1 nat."""
LAYERS = (
    ("segmentation", SEGMENTATION, None, 35),
    ("entropy", ENTROPY, ENTROPY_TOP_NATS, 80),
    ("conflict", CONFLICT, CONFLICT_TOP_NATS, 80),
)
"""Overlays of the viewer: name, file, top of the scale in nats, opacity in percent at first."""
VERDICT_WORDS: Mapping[ReaderVerdict, str] = {
    ReaderVerdict.ACCEPT: "Accept",
    ReaderVerdict.CORRECT: "Correct",
    ReaderVerdict.REJECT: "Reject",
    ReaderVerdict.NOT_ASSESSABLE: "Not assessable",
}
router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAt:
    """One place to look at first. where: in a reader's words. mm: RAS+ of the scanner, as the viewer takes it."""

    title: str
    where: str
    mm: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One measurement beside what is usual here. unusual: its whole interval lies outside that range."""

    row: Measurement
    usual: Range | None

    @property
    def unusual(self) -> bool:
        """Whether it stands out, doubt included."""
        return self.usual is not None and not (self.row.high >= self.usual.low and self.row.low <= self.usual.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the model found in a case, for its page. parts, titles: None and empty where the gate must stay silent."""

    case: DecidedCase
    parts: Decomposition | None
    titles: tuple[str, ...]
    sentences: tuple[str, ...]
    places: tuple[LookAt, ...]
    volumes: tuple[Volume, ...]
    pictures: bool
    viewable: bool


@router.get("/cases/{pseudonym}", response_class=HTMLResponse)
def show_case(
    request: Request,
    pseudonym: Pseudonym,
    site: TheSite,
    person: Somebody,
    folder: CaseFolder,
    *,
    correction: Annotated[str, Query(pattern=r"^([0-9a-f]{64})?$")] = "",
) -> HTMLResponse:
    """The page of a case. correction: the one that was just kept, to be decided on."""
    file = site.desk.case(pseudonym, account=person.id)
    item = file.item
    context = {
        "file": file,
        "item": item,
        "mine": item is not None and item.claim is not None and item.claim.by == person.name,
        "found": _findings(file, folder, site.usual.ranges()),
        "agreement": site.desk.agreement(item.item_id) if item and len(file.readings) > 1 else None,
        "correction": correction,
    }
    return page(request, "case.html", {**_WORDS, **context})


def _findings(file: CaseFile, folder: Path, usual: Mapping[str, Range]) -> Findings | None:
    """From the case's folder; None when it does not hold the decision that the database speaks of."""
    case = _decided(file, folder)
    if case is None:
        return None
    verdict, blind = case.verdict, file.item is not None and file.item.blind
    uncertainty = case.document["uncertainty"] or {}
    sentences = explain(verdict, uncertainty.get("prior"))
    return Findings(
        case=case,
        parts=None if blind or not verdict.signals else decompose(verdict),
        titles=() if blind else tuple(reason_titles(case)),
        sentences=() if blind or not uncertainty else tuple(sentences),
        places=_places(case),
        volumes=tuple(Volume(row=row, usual=usual.get(key)) for key, row in case.measurements.items()),
        pictures=all((folder / FIGURES / layer_name(view, IMAGE)).is_file() for view in VIEWS),
        viewable=all((folder / name).is_file() for name in (VOLUME, *(name for _, name, _, _ in LAYERS))),
    )


def _decided(file: CaseFile, folder: Path) -> DecidedCase | None:
    current = file.decisions[0]
    try:
        case = load_case(folder)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # whatever a damaged report.json raises
        return None
    same = case.document["case"]["content_sha256"] == current.content_sha256 and case.bundle == current.bundle
    return case if same else None


def _places(case: DecidedCase) -> tuple[LookAt, ...]:
    """The spots of unusual entropy, worst first; the gate's own place where there are none."""
    interpretation, place = case.verdict.interpretation, case.verdict.place
    if interpretation and interpretation.spots:
        return tuple(
            _look_at(spot.place, spot_title(spot), f"{spot.ml:.1f} ml, {spot.nats:.2f} nats above usual")
            for spot in interpretation.spots
        )
    return (_look_at(place, place.structure, ""),) if place else ()


def _look_at(place: Place, title: str, detail: str) -> LookAt:
    sides = ", ".join(side_mm(axis, mm).removesuffix(" mm") for axis, mm in enumerate(place.ras_mm))
    where = f"{sides} mm; slice {place.scanner[2] + 1}"
    return LookAt(title=title, where=where, mm=",".join(f"{mm:.3f}" for mm in place.ras_mm), detail=detail)


_WORDS: Mapping[str, Any] = {
    "layers": LAYERS,
    "volume": VOLUME,
    "views": VIEWS,
    "layer_name": layer_name,
    "structures": STRUCTURES,
    "viewer": {
        "colours": [(0, 0, 0), *(s.rgb for s in STRUCTURES)],
        "names": ["Outside", *(s.name for s in STRUCTURES)],
        "ramp": entropy_colours(9),
    },
    "codes": CODES,
    "verdicts": VERDICT_WORDS,
}
"""What the pages of all cases share."""
