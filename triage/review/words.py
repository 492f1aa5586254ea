"""What a reviewer may say of a case, who may say it, and where a case stands: the words of the review."""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What an account may do: an operator looks, a reviewer decides, an owner runs accounts and models too."""

    OPERATOR = "operator"
    REVIEWER = "reviewer"
    OWNER = "owner"

    @property
    def may_decide(self) -> bool:
        """Whether verdicts of this role count."""
        return self in (Role.REVIEWER, Role.OWNER)


class ReaderVerdict(StrEnum):
    """A human's verdict on a segmentation."""

    ACCEPT = "accept"
    CORRECT = "correct"
    REJECT = "reject"
    NOT_ASSESSABLE = "not_assessable"


class Kind(StrEnum):
    """Why a case is in front of a human. BLIND: accepted, drawn for quality control; the queue does not tell."""

    DOUBT = "doubt"
    BLIND = "blind"


class State(StrEnum):
    """Where a review item stands."""

    OPEN = "open"
    DECIDED = "decided"
    SUPERSEDED = "superseded"


CODES: Mapping[ReaderVerdict, Mapping[str, str]] = {
    ReaderVerdict.ACCEPT: {
        "right": "The segmentation is right.",
        "small_errors": "Its errors are too small to matter for the measurements.",
        "unusual_anatomy": "The anatomy is unusual, the segmentation is right.",
    },
    ReaderVerdict.CORRECT: {
        "boundary": "A boundary was moved.",
        "missed_lesion": "A lesion was missed.",
        "false_lesion": "A lesion was removed that is none.",
        "wrong_structure": "A structure had the name of another.",
        "missed_structure": "A part of a structure was missed.",
        "not_brain": "Tissue outside the brain was taken for brain.",
    },
    ReaderVerdict.REJECT: {
        "failed": "The segmentation failed as a whole.",
        "wrong_series": "Another series of the study should be used.",
        "pathology": "A pathology is outside what the model knows.",
        "no_brain": "The images show no brain.",
        "other": "For the reason in the note.",
    },
    ReaderVerdict.NOT_ASSESSABLE: {
        "motion": "The patient moved.",
        "artefact": "An artefact hides the brain.",
        "coverage": "The brain is not covered.",
        "noise": "Noise or contrast is too poor.",
        "unreadable": "The files cannot be read.",
    },
}
"""The coded reasons of each verdict, with a reader's words for them. Stored by its key: a key is never renamed."""
