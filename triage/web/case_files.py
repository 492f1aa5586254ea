"""The files of a case: pictures and volumes for the page, and all of it as one archive for an external editor."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated
from zipfile import ZIP_STORED, ZipFile

from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath
from fastapi.responses import FileResponse, StreamingResponse

from triage import NOT_FOR_CLINICAL_USE
from triage.anatomy import STRUCTURES
from triage.report.as_figures import FIGURES
from triage.report.as_nifti import CONFLICT, ENTROPY, IMAGE, SEGMENTATION
from triage.web.entrance import CaseFolder, Pseudonym, Somebody, TheSite

VOLUMES = (IMAGE, SEGMENTATION, ENTROPY, CONFLICT)
router = APIRouter(prefix="/cases/{pseudonym}")
_CHUNK = 1 << 20


@router.get("/figures/{name}")
def picture(
    pseudonym: Pseudonym,
    name: Annotated[str, InPath(pattern=r"^[a-z0-9_]{1,40}\.png$")],
    folder: CaseFolder,
    site: TheSite,
    person: Somebody,
) -> FileResponse:
    """A slice as the report shows it. A page asks for fifteen: they are one view, one audit row a minute."""
    if site.pictures.wait_s(f"{person.id} {pseudonym}") == 0:
        site.desk.view("figures", account=person.id, pseudonym=pseudonym)
    return _file(folder / FIGURES / name, "image/png")


@router.get("/volumes/{name}")
def volume(pseudonym: Pseudonym, name: str, folder: CaseFolder, site: TheSite, person: Somebody) -> FileResponse:
    """A volume for the viewer."""
    if name not in VOLUMES:
        raise HTTPException(404)
    site.desk.view(name, account=person.id, pseudonym=pseudonym)
    return _file(folder / name, "application/gzip")


@router.get("/archive.zip")
def archive(pseudonym: Pseudonym, folder: CaseFolder, site: TheSite, person: Somebody) -> StreamingResponse:
    """Everything that an external editor needs; nothing that names the patient, or says what the gate decided."""
    present = [folder / name for name in VOLUMES if (folder / name).is_file()]
    if not present:
        raise HTTPException(404)
    site.desk.view("archive.zip", account=person.id, pseudonym=pseudonym)
    headers = {"Content-Disposition": f'attachment; filename="{pseudonym}.zip"'}
    return StreamingResponse(_packed(present, pseudonym), media_type="application/zip", headers=headers)


def label_descriptions() -> str:
    """The structures as a label description file, which ITK-SNAP loads and a person can read."""
    rows = [(0, 0, 0, 0, 0, "Clear Label"), *((s.id, *s.rgb, 1, s.name) for s in STRUCTURES)]
    lines = [
        f'{n:5d} {r:5d} {g:4d} {b:4d} {alpha:8d} {alpha:2d} {alpha:2d}    "{name}"' for n, r, g, b, alpha, name in rows
    ]
    return "\n".join([f"# {NOT_FOR_CLINICAL_USE}", "# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL", *lines, ""])


def _file(path: Path, media_type: str) -> FileResponse:
    if not path.is_file():
        raise HTTPException(404)
    return FileResponse(path, media_type=media_type)


def _packed(paths: Sequence[Path], pseudonym: str) -> Iterator[bytes]:
    """The bytes of the archive; the volumes are compressed already."""
    with tempfile.TemporaryFile() as file:
        with ZipFile(file, "w", ZIP_STORED) as archive:
            for path in paths:
                archive.write(path, f"{pseudonym}/{path.name}")
            archive.writestr(f"{pseudonym}/labels.txt", label_descriptions())
        file.seek(0)
        while chunk := file.read(_CHUNK):
            yield chunk
