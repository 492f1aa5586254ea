"""The sample inbox: made-up patients as DICOM, so that a newcomer sees the whole pipeline work, and see it refuse."""

import shutil
from collections.abc import Collection
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from pipelines.sample_patients import PATIENTS
from triage.errors import TriageError

NOTE = "README.txt"
"""Written last: a folder that holds this very text is a complete sample."""
EDITION = 3


def make_sample_inbox(folder: Path, *, only: Collection[str] | None = None) -> Path:
    """Write the sample inbox, about 190 MB, the same bytes every time; a complete one is left as it is.

    only: keys of `PATIENTS`, for a quick start. Raises TriageError when the folder holds anything else.
    """
    keys = tuple(key for key in PATIENTS if only is None or key in only)
    note = _note(keys)
    if (folder / NOTE).is_file() and (folder / NOTE).read_text(encoding="utf-8") == note:
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TriageError(
            "The folder for the sample inbox is not empty, and it is not this version's sample.",
            do="Name a new folder, or remove this one.",
        )
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for key in keys:
        PATIENTS[key].write(key, unfinished / key)
    with ZipFile(unfinished / "older-scans.zip", "w") as archive:
        archive.writestr(ZipInfo("note.txt"), "Archives are never opened.\n")  # ZipInfo: dated 1980, not today
    (unfinished / NOTE).write_text(note, encoding="utf-8")
    unfinished.replace(folder)
    return folder


def _note(keys: Collection[str]) -> str:
    return "\n".join(
        [
            f"Sample inbox of brain-triage, edition {EDITION}. Nobody's head: all is made from the MNI152 template",
            "(Fonov et al. 2009, 2011), which the nilearn package brings. Only for trying the pipeline out.",
            "",
            *(f"{key:8} {PATIENTS[key].story}" for key in keys),
            "",
        ]
    )
