from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset

from triage.case import Weighting
from triage.dicom.acquisition import acquisition_of
from triage.dicom.weighting import has_contrast_agent, not_structural, weighting_of


def facts(**tags):
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return acquisition_of(dataset)


def gradient_echo(te, tr, ti=None, flip=9):
    kinds = ["GR", "IR"] if ti else ["GR"]
    return {"ScanningSequence": kinds, "EchoTime": te, "RepetitionTime": tr, "InversionTime": ti, "FlipAngle": flip}


def spin_echo(te, tr, ti=None):
    kinds = ["SE", "IR"] if ti else ["SE"]
    return {"ScanningSequence": kinds, "EchoTime": te, "RepetitionTime": tr, "InversionTime": ti, "FlipAngle": 90}


PROTOCOLS = SimpleNamespace(
    adni_siemens_mprage=(gradient_echo(2.98, 2300, 900), Weighting.T1),
    adni_ge_ir_spgr=(gradient_echo(3.0, 7.3, 400, 11), Weighting.T1),
    ixi_philips_t1=(gradient_echo(4.6, 9.6, None, 8), Weighting.T1),
    spoiled_2d=(gradient_echo(2.46, 300, None, 80), Weighting.T1),
    mprage_without_inversion_time=(gradient_echo(2.3, 1900), Weighting.T1),
    spin_echo_t1=(spin_echo(12, 550), Weighting.T1),
    t1_flair=(spin_echo(10, 2100, 860), Weighting.T1),
    flair_2d=(spin_echo(120, 9000, 2500), Weighting.FLAIR),
    flair_3d_space=(spin_echo(388, 5000, 1800), Weighting.FLAIR),
    low_field_flair=(spin_echo(194.4, 4000, 1400), Weighting.FLAIR),
    t2_tse=(spin_echo(90, 4000), Weighting.T2),
    proton_density=(spin_echo(15, 2800), Weighting.PD),
    t2_star=(gradient_echo(20, 650, None, 20), Weighting.UNKNOWN),
    flash_proton_density=(gradient_echo(2.5, 25, None, 5), Weighting.UNKNOWN),
    short_tau_fat_nulling=(spin_echo(60, 4000, 150), Weighting.UNKNOWN),
    nothing_known=({}, Weighting.UNKNOWN),
)


@pytest.mark.parametrize(("tags", "weighting"), vars(PROTOCOLS).values(), ids=vars(PROTOCOLS))
def test_the_weighting_is_told_by_the_times_of_common_protocols(tags, weighting):
    assert weighting_of(facts(**tags)) is weighting


def test_times_outweigh_the_description():
    assert weighting_of(facts(**spin_echo(90, 4000), SeriesDescription="AX T1 MPRAGE")) is Weighting.T2


@pytest.mark.parametrize(
    ("description", "weighting"),
    [
        ("t1_mprage_sag", Weighting.T1),
        ("Ax T2 FLAIR", Weighting.FLAIR),
        ("T1 FLAIR", Weighting.T1),
        ("AX T2 FSE", Weighting.T2),
        ("T2* GRE", Weighting.UNKNOWN),
        ("pd+t2_tse", Weighting.UNKNOWN),
        ("anat-T1w", Weighting.T1),
        ("DOE^JOHN", Weighting.UNKNOWN),
    ],
)
def test_the_description_is_the_last_hint(description, weighting):
    assert weighting_of(facts(SeriesDescription=description)) is weighting


def test_the_scanners_word_for_the_contrast_comes_first():
    assert weighting_of(facts(AcquisitionContrast="FLUID_ATTENUATED", **spin_echo(90, 4000))) is Weighting.FLAIR


@pytest.mark.parametrize(
    ("tags", "agent"),
    [
        ({"ContrastBolusAgent": "Gadovist"}, True),
        ({"ContrastBolusAgent": "NO"}, False),
        ({"ContrastBolusAgentSequence": [Dataset()]}, True),
        ({"SeriesDescription": "T1 MPRAGE +C"}, True),
        ({"SeriesDescription": "t1_post_gd"}, True),
        ({"SeriesDescription": "T1 SPACE"}, False),
        ({}, False),
    ],
)
def test_a_contrast_agent_is_seen_in_attribute_or_description(tags, agent):
    assert has_contrast_agent(facts(**tags)) is agent


@pytest.mark.parametrize("component", ["PHASE", "REAL", "IMAGINARY"])
def test_parts_of_the_complex_signal_are_not_structural(component):
    assert not_structural(facts(ComplexImageComponent=component)) is not None


def test_ges_private_word_for_phase_is_understood():
    dataset = Dataset()
    dataset.add_new(0x00430010, "LO", "GEMS_PARM_01")
    dataset.add_new(0x0043102F, "SS", 1)

    assert not_structural(acquisition_of(dataset)) == "a phase image"


@pytest.mark.parametrize(
    ("tags", "years"),
    [
        ({"PatientAge": "071Y"}, 71),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "71", "PatientBirthDate": "19500101", "StudyDate": "20200101"}, 70),
        ({"PatientBirthDate": "20300101", "StudyDate": "20200101"}, None),
        ({"PatientBirthDate": "garbage", "StudyDate": "20200101"}, None),
        ({}, None),
    ],
)
def test_the_age_is_years_or_unknown(tags, years):
    age = facts(**tags).age_years

    assert age == (pytest.approx(years, abs=0.01) if years is not None else None)


@pytest.mark.parametrize(
    ("name", "listed"),
    [("SIEMENS Healthineers", "Siemens"), ("GE MEDICAL SYSTEMS", "GE"), ("Doe^John Imaging", "other"), ("", "other")],
)
def test_the_manufacturer_is_one_of_a_closed_list(name, listed):
    assert facts(Manufacturer=name).manufacturer == listed
