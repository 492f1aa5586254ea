"""The twelve classes of the segmentation, the tissues that they sum to, and the colours in which they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One class. rgb: 0-255, readable on black. code, meaning: SNOMED CT concept, for DICOM SEG.

    A class that merges structures is coded as the concept that covers them all; `regions` names each of them.
    """

    id: int
    key: str
    name: str
    rgb: tuple[int, int, int]
    code: str
    meaning: str
    regions: tuple[tuple[str, str], ...] = ()


STRUCTURES: tuple[Structure, ...] = (
    Structure(
        id=1,
        key="sulcal_csf",
        name="Sulcal CSF",
        rgb=(86, 156, 214),
        code="33930006",
        meaning="Cranial Subarachnoid Space",
    ),
    Structure(
        id=2,
        key="cortical_grey",
        name="Cortical grey matter",
        rgb=(224, 122, 95),
        code="40146001",
        meaning="Cerebral cortex",
    ),
    Structure(
        id=3,
        key="cerebral_white",
        name="Cerebral white matter",
        rgb=(240, 236, 220),
        code="68523003",
        meaning="Cerebral White Matter",
    ),
    Structure(
        id=4,
        key="deep_grey",
        name="Deep grey matter",
        rgb=(214, 96, 160),
        code="389081007",
        meaning="Gray Matter",
        regions=(
            ("42695009", "Thalamus"),
            ("11000004", "Caudate Nucleus"),
            ("89278009", "Putamen"),
            ("14738005", "Globus Pallidus"),
            ("427667007", "Nucleus Accumbens"),
        ),
    ),
    Structure(
        id=5,
        key="hippocampus_amygdala",
        name="Hippocampus and amygdala",
        rgb=(242, 204, 96),
        code="389081007",
        meaning="Gray Matter",
        regions=(("5366008", "Hippocampus"), ("4958002", "Amygdala")),
    ),
    Structure(
        id=6,
        key="lateral_ventricles",
        name="Lateral ventricles",
        rgb=(120, 94, 214),
        code="66720007",
        meaning="Lateral Ventricle",
    ),
    Structure(
        id=7,
        key="third_fourth_ventricle",
        name="Third and fourth ventricle",
        rgb=(64, 196, 188),
        code="35764002",
        meaning="Brain ventricle",
        regions=(("49841001", "Third ventricle"), ("35918002", "Fourth Ventricle")),
    ),
    Structure(
        id=8,
        key="cerebellar_grey",
        name="Cerebellar grey matter",
        rgb=(178, 122, 72),
        code="25991003",
        meaning="Cerebellar Cortex",
    ),
    Structure(
        id=9,
        key="cerebellar_white",
        name="Cerebellar white matter",
        rgb=(206, 206, 160),
        code="33060004",
        meaning="Cerebellar White Matter",
    ),
    Structure(
        id=10,
        key="brainstem",
        name="Brainstem and ventral DC",
        rgb=(110, 176, 92),
        code="119238007",
        meaning="Brain Stem",
    ),
    Structure(
        id=11,
        key="lesion",
        name="Lesion",
        rgb=(255, 64, 64),
        code="52988006",
        meaning="Lesion",
        regions=(("12738006", "Brain"),),
    ),
)
BACKGROUND = 0
LESION = 11
N_CLASSES = 1 + len(STRUCTURES)

TISSUES: Mapping[str, tuple[int, ...]] = {
    "grey_matter": (2, 4, 5, 8),
    "white_matter": (3, 9, 10),
    "csf": (1, 6, 7),
}
TISSUE_NAMES: Mapping[str, str] = {"grey_matter": "Grey matter", "white_matter": "White matter", "csf": "CSF"}

BRAIN: tuple[int, ...] = tuple(range(2, N_CLASSES))
"""Classes counted as brain by the signals: everything but background and sulcal CSF."""


def structure_name(class_id: int) -> str:
    """Reader's name of a class id, "Background" for 0."""
    return "Background" if class_id == BACKGROUND else STRUCTURES[class_id - 1].name
