"""What the name of a NIfTI file claims: its weighting, that it holds labels, its session in a BIDS dataset.

A NIfTI header knows none of this. BIDS: version 1.10, entities and suffixes.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from triage.case import Weighting

SUFFIXES = (".nii.gz", ".nii", ".mgz", ".mgh")
_LABELS = re.compile(r"(^|[_.-])(d?seg|aseg|aparc|aparc\+aseg|mask|brainmask|labels?\d*|roi|probseg)(?=[_.-]|$)", re.I)
_WEIGHTINGS = (
    (re.compile(r"flair", re.I), Weighting.FLAIR),
    (re.compile(r"(?<![a-z0-9])t1(?!map|rho)|mprage|bravo|spgr", re.I), Weighting.T1),
    (re.compile(r"(?<![a-z0-9])t2(?!map|star|\*)", re.I), Weighting.T2),
    (re.compile(r"(?<![a-z0-9])pd(?![a-z0-9]*map)", re.I), Weighting.PD),
)
_AGENT = re.compile(r"t1(ce|c|gd|post)(?![a-z])|(?<![a-z0-9])ce-|gadolin", re.I)
_NAME = re.compile(
    r"sub-(?P<subject>[A-Za-z0-9]+)(_ses-(?P<session>[A-Za-z0-9]+))?(_[a-z]+-[A-Za-z0-9+]+)*_(?P<suffix>\w+)"
)
_DERIVED = re.compile(r"_(desc|space|res|den|label)-")
STRUCTURAL_SUFFIXES = ("T1w", "FLAIR", "T2w", "PDw")


def stem_of(path: Path) -> str:
    """The file name without its NIfTI suffix."""
    name = path.name
    return next(
        (name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)),
        name,
    )


def is_label_name(path: Path) -> bool:
    """The name says that the file holds labels, not an image."""
    return _LABELS.search(stem_of(path)) is not None


def weighting_of_name(path: Path) -> Weighting:
    """The weighting that a file name claims; a NIfTI header does not know it."""
    return next((weighting for pattern, weighting in _WEIGHTINGS if pattern.search(stem_of(path))), Weighting.UNKNOWN)


def has_agent_name(path: Path) -> bool:
    """The name says that a contrast agent was given."""
    return _AGENT.search(stem_of(path)) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session of one subject; dataset: the folder that holds the subject. Stays in memory."""

    dataset: Path
    subject: str
    session: str


def session_of(path: Path) -> Session | None:
    """The session that a file belongs to; None when its name is not a BIDS name in a subject's folder."""
    match = _NAME.fullmatch(stem_of(path))
    if match is None:
        return None
    folder = next((parent for parent in path.parents if parent.name == f"sub-{match['subject']}"), None)
    if folder is None:
        return None
    return Session(dataset=folder.parent, subject=match["subject"], session=match["session"] or "")


def other_kind(path: Path, root: Path) -> str | None:
    """What a BIDS file is if it is no raw structural image, in a reader's words; None if it is one."""
    stem = stem_of(path)
    parts = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    if "derivatives" in parts or _DERIVED.search(stem):
        return "derived images of a BIDS dataset"
    if path.parent.name != "anat" or not stem.endswith(tuple(f"_{suffix}" for suffix in STRUCTURAL_SUFFIXES)):
        return "other images of a BIDS dataset"
    return None
