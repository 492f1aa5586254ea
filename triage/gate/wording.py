"""The gate's words: what each signal is called, what a large value means, and what is suggested then."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What a human is asked to do; every suggestion begins with one of these."""

    RESCAN = "Rescan"
    OTHER_SERIES = "Choose another series"
    CHECK_REGISTRATION = "Check the registration"
    EDIT_SLICES = "Edit slices"
    SECOND_READER = "Second reader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """How a signal is called, what a large value means, what to do then, and how. how: follows the action."""

    title: str
    meaning: str
    action: Action
    how: str


WORDING: Mapping[str, Wording] = {
    "boundary_entropy": Wording(
        title="Unclear borders",
        meaning="The borders between tissues are unclear all over the brain, as with motion, noise or blur.",
        action=Action.RESCAN,
        how="look for motion, noise and blur first.",
    ),
    "interior_entropy": Wording(
        title="Unclear tissue",
        meaning="The model is unsure inside tissues, away from any border.",
        action=Action.OTHER_SERIES,
        how="check the contrast of this one, and look for abnormal tissue.",
    ),
    "worst_patch": Wording(
        title="Worst spot",
        meaning="One place is far less clear than such places usually are.",
        action=Action.EDIT_SLICES,
        how="look at the place shown.",
    ),
    "sample_disagreement": Wording(
        title="Samples disagree",
        meaning="Posterior samples of the model segment this brain differently.",
        action=Action.SECOND_READER,
        how="check the segmentation.",
    ),
    "volume_spread": Wording(
        title="Uncertain volume",
        meaning="The volume of a structure varies much between posterior samples.",
        action=Action.SECOND_READER,
        how="use no volume before the segmentation is checked.",
    ),
    "prior_conflict": Wording(
        title="Anatomy does not fit",
        meaning="Anatomy fits poorly all over the brain: a failed registration, upside down, or not a brain.",
        action=Action.CHECK_REGISTRATION,
        how="see whether the series shows a whole brain, the right way up.",
    ),
    "focal_conflict": Wording(
        title="Local anatomy",
        meaning="One place differs from known anatomy, as with a lesion, surgery or a segmentation error.",
        action=Action.EDIT_SLICES,
        how="look for an abnormality at the place shown.",
    ),
    "feature_density": Wording(
        title="Unlike training",
        meaning="The image is unlike those that the model was trained on.",
        action=Action.OTHER_SERIES,
        how="check contrast, scanner and protocol of this one.",
    ),
    "input_quality": Wording(
        title="Input quality",
        meaning="The brain is cut off by the field of view, the slices are thick, or the image is noisy.",
        action=Action.RESCAN,
        how="cover the whole brain, with thin slices and enough signal.",
    ),
    "finding_entropy": Wording(
        title="Unclear pattern",
        meaning="It is unclear whether the brain looks normal, or which abnormal pattern it resembles.",
        action=Action.SECOND_READER,
        how="read the images for an abnormality; the pattern shown is for research only.",
    ),
}
SHORTCOMINGS: Mapping[str, str] = {
    "coverage": "The brain is cut off by the field of view.",
    "sampling": "The slices are thick.",
    "noise": "The image is noisy.",
}
"""What makes the input poor, by name in `triage.gate.signals.shortcomings`."""
NO_BRAIN = "No brain was found in the image."
NOT_CERTIFIED = "No limit of this model could be certified, so it accepts nothing."
NOT_COMPUTED = "This signal could not be computed."
TOO_MUCH_TO_EDIT = "too much is unclear to be edited slice by slice."
