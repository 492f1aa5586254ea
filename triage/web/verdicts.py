"""What a reviewer does with a case: take it in hand, give it back, keep a correction, say what it is."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Header, HTTPException, UploadFile
from fastapi.responses import JSONResponse, RedirectResponse, Response

from triage.review.records import Opinion
from triage.review.words import ReaderVerdict, State
from triage.web.entrance import CaseFolder, Pseudonym, Somebody, TheSite, own_form
from triage.web.label_volume import check_correction

router = APIRouter(prefix="/cases/{pseudonym}", dependencies=[Depends(own_form)])

Item = Annotated[int, Form(ge=0)]


@router.post("/claim")
def claim(pseudonym: Pseudonym, site: TheSite, person: Somebody, item: Item) -> Response:
    """Take the case in hand."""
    site.desk.claim(item, account=person.id)
    return _back_to(pseudonym)


@router.post("/renew")
def renew(pseudonym: Pseudonym, site: TheSite, person: Somebody, item: Item) -> Response:
    """Hold the case longer; the page asks for this while it is used."""
    return JSONResponse({"until": site.desk.renew(item, account=person.id).until.isoformat()})


@router.post("/release")
def release(pseudonym: Pseudonym, site: TheSite, person: Somebody, item: Item) -> Response:
    """Give the case back, unread."""
    site.desk.release(item, account=person.id)
    return RedirectResponse("/", status_code=303)


@router.post("/corrections")
def keep_correction(
    pseudonym: Pseudonym,
    site: TheSite,
    person: Somebody,
    folder: CaseFolder,
    item: Item,
    *,
    file: Annotated[UploadFile, File()],
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Check a painted or uploaded label volume and keep it; what was kept is decided on later."""
    if not folder.is_dir():
        raise HTTPException(404)
    with site.checking:  # it takes three times the file's size; what waits lies on the disk
        checked = check_correction(file.file.read(), name=file.filename or "", folder=folder, pseudonym=pseudonym)
    kept = site.desk.keep_correction(item, checked.labels, checked.affine, account=person.id)
    if accept.startswith("application/json"):
        return JSONResponse({"sha256": kept.sha256, "voxels": checked.changed_voxels, "ml": checked.changed_ml})
    return RedirectResponse(f"/cases/{pseudonym}?correction={kept.sha256}#verdict", status_code=303)


@router.post("/decide")
def decide(
    pseudonym: Pseudonym,
    site: TheSite,
    person: Somebody,
    item: Item,
    verdict: Annotated[ReaderVerdict, Form()],
    *,
    code: Annotated[str, Form(max_length=64)],
    note: Annotated[str, Form()] = "",
    correction: Annotated[str, Form(pattern=r"^([0-9a-f]{64})?$")] = "",
) -> Response:
    """Give the verdict. The codes of all verdicts are on the page; `code` is the one that belongs to this verdict."""
    kept = correction if correction and verdict is ReaderVerdict.CORRECT else None
    opinion = Opinion(verdict=verdict, code=code, note=note.strip(), correction_sha256=kept)
    settled = site.desk.decide(item, opinion, account=person.id)
    if settled.agreement is not None or settled.state is State.OPEN:
        return _back_to(pseudonym)
    return RedirectResponse(f"/?read={pseudonym}", status_code=303)


def _back_to(pseudonym: str) -> Response:
    return RedirectResponse(f"/cases/{pseudonym}", status_code=303)
