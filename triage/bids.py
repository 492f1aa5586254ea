"""Names of BIDS files: which images belong to one session of one subject (BIDS 1.10, entities and suffixes)."""

import re
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(
    r"sub-(?P<subject>[A-Za-z0-9]+)(_ses-(?P<session>[A-Za-z0-9]+))?(_[a-z]+-[A-Za-z0-9+]+)*_(?P<suffix>\w+)"
)
_DERIVED = re.compile(r"_(desc|space|res|den|label)-")
STRUCTURAL_SUFFIXES = ("T1w", "FLAIR", "T2w", "PDw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session of one subject; dataset: the folder that holds the subject. Stays in memory."""

    dataset: Path
    subject: str
    session: str


def session_of(path: Path, stem: str) -> Session | None:
    """The session that a file belongs to; None when its name is not a BIDS name in a subject's folder."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    folder = next((parent for parent in path.parents if parent.name == f"sub-{match['subject']}"), None)
    if folder is None:
        return None
    return Session(dataset=folder.parent, subject=match["subject"], session=match["session"] or "")


def other_kind(path: Path, root: Path, stem: str) -> str | None:
    """What a BIDS file is if it is no raw structural image, in a reader's words; None if it is one."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    if "derivatives" in parts or _DERIVED.search(stem):
        return "derived images of a BIDS dataset"
    if path.parent.name != "anat" or not stem.endswith(tuple(f"_{suffix}" for suffix in STRUCTURAL_SUFFIXES)):
        return "other images of a BIDS dataset"
    return None
