"""How a series was acquired: the facts its weighting and its kind are told from."""

import re
from dataclasses import dataclass
from datetime import date

from pydicom.dataset import Dataset

from triage.dicom.attribute_values import number, text, texts

_HINT_CHARACTERS = 64  # the longest that LO may be (PS3.5 6.2); patterns are searched in it
_GE_RAW_DATA_TYPE = 0x0043102F
_GE_COMPONENTS = {0: "MAGNITUDE", 1: "PHASE", 2: "REAL", 3: "IMAGINARY"}
_AGE = re.compile(r"(\d{3})([DWMY])")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_MANUFACTURERS = {
    "SIEMENS": "Siemens",
    "GE ": "GE",
    "GENERAL ELECTRIC": "GE",
    "PHILIPS": "Philips",
    "UIH": "United Imaging",
    "UNITED IMAGING": "United Imaging",
    "HYPERFINE": "Hyperfine",
    "CANON": "Canon",
    "TOSHIBA": "Canon",
    "HITACHI": "Hitachi",
    "FUJIFILM": "Hitachi",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """Facts of one file, in DICOM's words, upper case. Times in ms, None when absent.

    hint: description and protocol; free text, may hold a name: for the last guess at the weighting, never shown.
    """

    image_type: tuple[str, ...]
    component: str
    contrast: str
    scanning: tuple[str, ...]
    echo_time_ms: float | None
    repetition_time_ms: float | None
    inversion_time_ms: float | None
    flip_angle_deg: float | None
    b_value: float | None
    echo_planar: bool
    angiography: bool
    three_d: bool
    agent: bool
    manufacturer: str
    field_strength_t: float | None
    age_years: float | None
    hint: str


def acquisition_of(dataset: Dataset) -> Acquisition:
    """The facts of a header, classic or enhanced; an enhanced one keeps the times in its functional groups."""
    groups = [*_items(dataset, "SharedFunctionalGroupsSequence"), *_items(dataset, "PerFrameFunctionalGroupsSequence")]
    scanning = texts(dataset, "ScanningSequence")
    inversion = _time(dataset, groups, "MRModifierSequence", "InversionTimes", "InversionTime")
    agent = text(dataset, "ContrastBolusAgent")
    return Acquisition(
        image_type=texts(dataset, "ImageType"),
        component=_component(dataset),
        contrast=text(dataset, "AcquisitionContrast"),
        scanning=scanning,
        echo_time_ms=_time(dataset, groups, "MREchoSequence", "EffectiveEchoTime", "EchoTime"),
        repetition_time_ms=_time(dataset, groups, "MRTimingAndRelatedParametersSequence", "RepetitionTime"),
        inversion_time_ms=inversion or None,
        flip_angle_deg=_time(dataset, groups, "MRTimingAndRelatedParametersSequence", "FlipAngle"),
        b_value=_time(dataset, groups, "MRDiffusionSequence", "DiffusionBValue"),
        echo_planar="EP" in scanning or text(dataset, "EchoPlanarPulseSequence") == "YES",
        angiography=text(dataset, "AngioFlag") == "Y"
        or "TOF" in texts(dataset, "SequenceVariant")
        or text(dataset, "TimeOfFlightContrast") == "YES"
        or text(dataset, "PhaseContrast") == "YES",
        three_d=text(dataset, "MRAcquisitionType") != "2D",
        agent=(agent not in ("", "NO", "NONE", "N")) or bool(_items(dataset, "ContrastBolusAgentSequence")),
        manufacturer=manufacturer_of(text(dataset, "Manufacturer")),
        field_strength_t=number(dataset, "MagneticFieldStrength"),
        age_years=_age(dataset),
        hint=" ".join(text(dataset, key)[:_HINT_CHARACTERS] for key in ("SeriesDescription", "ProtocolName")),
    )


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The first item of a sequence in a list, empty when there is none."""
    try:
        return list(dataset.get(keyword) or [])[:1]
    except TypeError:
        return []


def _time(dataset: Dataset, groups: list[Dataset], group: str, *keywords: str) -> float | None:
    """The first value found: in the functional group, else at the top of the header."""
    sources = [item for frame in groups for item in _items(frame, group)] + [dataset]
    values = (number(source, keyword) for source in sources for keyword in keywords)
    return next((value for value in values if value is not None), None)


def _component(dataset: Dataset) -> str:
    """MAGNITUDE, PHASE, REAL or IMAGINARY as the header says, "" when it does not."""
    stated = text(dataset, "ComplexImageComponent")
    if stated or _GE_RAW_DATA_TYPE not in dataset:
        return stated
    try:
        return _GE_COMPONENTS.get(int(dataset[_GE_RAW_DATA_TYPE].value), "")
    except (TypeError, ValueError):
        return ""


def manufacturer_of(name: str) -> str:
    """Its short name, "other" if it is none of those known."""
    return next((short for start, short in _MANUFACTURERS.items() if f"{name.upper()} ".startswith(start)), "other")


def _age(dataset: Dataset) -> float | None:
    """Patient's Age, else study date less birth date; years, None when the header does not say."""
    if match := _AGE.fullmatch(text(dataset, "PatientAge")):
        return int(match[1]) * _YEARS[match[2]]
    try:
        born, scanned = (
            date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:8]}")
            for day in (text(dataset, "PatientBirthDate"), text(dataset, "StudyDate"))
        )
    except ValueError:
        return None
    years = (scanned - born).days / 365.25
    return years if years >= 0 else None
