"""Weighting of a series from its acquisition, and the kinds of series that hold no structural image.

Rules by physics come first, then the scanner's word for the contrast, the description last: a header that says T1 may
be wrong, so what is told here is a claim that the gate checks. Bounds: Brown et al., Magnetic Resonance Imaging (2014),
chapters 15 and 26, widened to the protocols of the larger vendors.
"""

import re

from triage.case import Weighting
from triage.dicom.acquisition import Acquisition

_NOT_STRUCTURAL = {
    "MOSAIC": "a mosaic",
    "LOCALIZER": "a localizer",
    "SCOUT": "a localizer",
    "PROJECTION IMAGE": "a projection",
    "MIP": "a projection",
    "MAX_IP": "a projection",
    "MIN_IP": "a projection",
    "MINIP": "a projection",
    "P": "a phase image",
    "PHASE": "a phase image",
    "PHASE MAP": "a phase image",
    "R": "a real or imaginary part",
    "REAL": "a real or imaginary part",
    "I": "a real or imaginary part",
    "IMAGINARY": "a real or imaginary part",
    "ADC": "a parametric map",
    "EADC": "a parametric map",
    "FA": "a parametric map",
    "TRACEW": "a diffusion image",
    "DIFFUSION": "a diffusion image",
    "PERFUSION": "a perfusion image",
    "CBF": "a parametric map",
    "CBV": "a parametric map",
    "RCBF": "a parametric map",
    "RCBV": "a parametric map",
    "MTT": "a parametric map",
    "TTP": "a parametric map",
    "T1 MAP": "a parametric map",
    "T2 MAP": "a parametric map",
    "T2_STAR MAP": "a parametric map",
    "R2 MAP": "a parametric map",
    "FIELD_MAP": "a parametric map",
    "B0 MAP": "a parametric map",
    "SUBTRACTION": "a subtraction",
    "ANGIO": "an angiogram",
    "FLOW_ENCODED": "a flow image",
    "VELOCITY": "a flow image",
    "FMRI": "a functional series",
    "SCREEN SAVE": "a screen copy",
    "IMAGE_ADDITION": "a sum of images",
}
_CONTRASTS = {
    "T1": Weighting.T1,
    "T2": Weighting.T2,
    "PROTON_DENSITY": Weighting.PD,
    "FLUID_ATTENUATED": Weighting.FLAIR,
}
_HINTS = (  # in order: "T2 FLAIR" is FLAIR, "T1 FLAIR" is T1
    (re.compile(r"T1|MP-?RAGE|BRAVO|SPGR|MP2RAGE"), Weighting.T1),
    (re.compile(r"FLAIR|DARK[ _-]?FLUID"), Weighting.FLAIR),
    (re.compile(r"(PD|PROTON).*T2|T2.*(PD|PROTON)"), Weighting.UNKNOWN),
    (re.compile(r"T2(?!\*|_?STAR)"), Weighting.T2),
    (re.compile(r"(?<![A-Z])PD(?![A-Z])|PROTON"), Weighting.PD),
)
_AGENT_HINT = re.compile(
    r"\+ ?(C|GD|KM)\b|\bGAD|(?<![A-Z])GD(?![A-Z])|POST[ _-]?(CONTRAST|GD|GAD)|(?<![A-Z])(CE|KM)(?![A-Z])"
)


def not_structural(facts: Acquisition) -> str | None:
    """What the series is if it is no structural image, in a reader's words; None if it may be one."""
    for value in (*facts.image_type, facts.component, facts.contrast):
        if value in _NOT_STRUCTURAL:
            return _NOT_STRUCTURAL[value]
    if facts.b_value:
        return "a diffusion image"
    if facts.angiography:
        return "an angiogram"
    if facts.echo_planar:
        return "an echo-planar series"
    return None


def has_contrast_agent(facts: Acquisition) -> bool:
    """The header names an agent, or the description hints at one."""
    return facts.agent or _AGENT_HINT.search(facts.hint) is not None


def weighting_of(facts: Acquisition) -> Weighting:
    """T1, T2, FLAIR or PD; UNKNOWN when nothing tells."""
    told = _CONTRASTS.get(facts.contrast)
    return told or _by_times(facts) or _by_hint(facts.hint)


def _by_times(facts: Acquisition) -> Weighting | None:
    """By echo, repetition and inversion time in ms and flip angle in degrees; None when they do not decide."""
    echo, repetition, inversion = facts.echo_time_ms, facts.repetition_time_ms, facts.inversion_time_ms
    if echo is None or repetition is None:
        return None
    if inversion is not None:
        return _by_inversion(echo, repetition, inversion)
    if "IR" in facts.scanning:
        return None
    if "SE" in facts.scanning:
        return _by_spin_echo(echo, repetition)
    if "GR" in facts.scanning:
        return _by_gradient_echo(echo, repetition, facts.flip_angle_deg or 0.0)
    return None


def _by_inversion(echo: float, repetition: float, inversion: float) -> Weighting | None:
    if inversion >= 1200 and echo >= 60 and repetition >= 3500:
        return Weighting.FLAIR  # fluid is nulled at 0.69 T1 of cerebrospinal fluid, less when TR is short
    if 250 <= inversion <= 1300 and echo < 40:
        return Weighting.T1  # MPRAGE, IR-SPGR, T1 FLAIR
    return None


def _by_spin_echo(echo: float, repetition: float) -> Weighting | None:
    if repetition <= 1000:
        return Weighting.T1 if echo <= 35 else None
    if repetition >= 1800:
        return Weighting.T2 if echo >= 60 else Weighting.PD if echo <= 40 else None
    return None


def _by_gradient_echo(echo: float, repetition: float, flip: float) -> Weighting | None:
    if echo > 12:
        return None  # T2* grows with the echo time
    if repetition > 1200:
        return Weighting.T1 if echo <= 6 else None  # MPRAGE with an unrecorded inversion time
    strong = flip >= 50 if repetition > 100 else flip >= 15 if repetition > 20 else flip >= 7
    return Weighting.T1 if strong else None


def _by_hint(hint: str) -> Weighting:
    return next((weighting for pattern, weighting in _HINTS if pattern.search(hint)), Weighting.UNKNOWN)
