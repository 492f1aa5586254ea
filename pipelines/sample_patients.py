"""The made-up patients of the sample inbox.

Four are fine. Each of the others breaks one thing that a triage must notice; `PATIENTS` says which.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from pydicom.uid import SecondaryCaptureImageStorage

from pipelines.artefacts import moved
from pipelines.sample_heads import Grid, Head, acquire, phantom
from triage.case import Volume
from triage.dicom.write import write_classic_series, write_enhanced_series
from triage.errors import Code
from triage.verdict import Route

SAGITTAL = Grid(axes="PIL", shape=(240, 256, 192), spacing_mm=(1.0, 1.0, 1.0))
AXIAL = Grid(axes="LPS", shape=(200, 248, 200), spacing_mm=(1.0, 1.0, 1.0))
CORONAL = Grid(axes="LIP", shape=(160, 176, 190), spacing_mm=(1.2, 1.2, 1.2), oblique_deg=9.0)
CUBE = Grid(axes="PIL", shape=(256, 256, 256), spacing_mm=(1.0, 1.0, 1.0))
HALF_OUT = Grid(axes="PIL", shape=(240, 256, 160), spacing_mm=(1.0, 1.0, 1.0), centre_mm=(80.0, -18.0, 9.0))
THICK = Grid(axes="LPS", shape=(224, 256, 30), spacing_mm=(0.9, 0.9, 5.0))
SCOUT = Grid(axes="LPS", shape=(128, 128, 3), spacing_mm=(2.0, 2.0, 25.0))

MOVE_DEG, MOVE_MM = (6, 13), (5, 12)
"""How far a moving head turns and shifts during one scan."""

SIEMENS = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Prisma", "MagneticFieldStrength": 3.0}
SIEMENS_15 = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Avanto", "MagneticFieldStrength": 1.5}
GE = {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "DISCOVERY MR750", "MagneticFieldStrength": 3.0}
PHILIPS = {"Manufacturer": "Philips", "ManufacturerModelName": "Ingenia", "MagneticFieldStrength": 3.0}
SCOUT_TAGS = {
    "SeriesDescription": "localizer",
    "SeriesNumber": 1,
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "LOCALIZER"],
    "MRAcquisitionType": "2D",
}
T2_TAGS = {
    "SeriesDescription": "t2_tse_tra_5mm",
    "SeriesNumber": 3,
    "MRAcquisitionType": "2D",
    "ScanningSequence": "SE",
    "SequenceVariant": "SK",
    "SequenceName": "tse2d1_15",
    "EchoTime": 96.0,
    "RepetitionTime": 6000.0,
    "InversionTime": None,
    "FlipAngle": 150.0,
    "EchoTrainLength": 15,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A made-up patient. expected: where the case must go, or the code that it must be refused with."""

    story: str
    expected: Route | Code
    write: Callable[[str, Path], None]


def _ana(key: str, folder: Path) -> None:
    head = Head(seed=21, turn_deg=(4, -2, 3))
    tags = {**_person(key, "034Y", "F"), **SIEMENS}
    write_classic_series(acquire(head, SCOUT), folder / "1_localizer", tags={**tags, **SCOUT_TAGS})
    write_classic_series(acquire(head, SAGITTAL), folder / "2_t1", tags={**tags, **_t1("t1_mprage_sag_iso")})
    _write_screenshot(folder / "9_screenshot", tags)


def _boris(key: str, folder: Path) -> None:
    head = Head(seed=12, turn_deg=(-6, 1, -2), scale=(1.05, 1.04, 1.06), levels=(0.22, 0.62, 1.0))
    tags = {**_person(key, "058Y", "M"), **GE}
    write_classic_series(acquire(head, AXIAL), folder / "2_t1", tags={**tags, **_t1("Ax T1 BRAVO")})
    t2 = Head(seed=12, turn_deg=head.turn_deg, scale=head.scale, levels=(1.0, 0.55, 0.4))
    write_classic_series(acquire(t2, THICK), folder / "3_t2", tags={**tags, **T2_TAGS})


def _chen(key: str, folder: Path) -> None:
    head = Head(seed=13, turn_deg=(2, 3, -4), scale=(0.96, 0.95, 0.97))
    tags = {**_person(key, "027Y", "F"), **PHILIPS, **_t1("sT1W_3D_TFE")}
    write_enhanced_series(acquire(head, CUBE), folder / "2_t1", tags=tags)


def _dora(key: str, folder: Path) -> None:
    head = Head(seed=14, turn_deg=(8, -3, 2), scale=(0.98, 0.99, 0.96), levels=(0.28, 0.69, 1.0), noise=0.03)
    tags = {**_person(key, "071Y", "F"), **SIEMENS_15, **_t1("t1_mprage_cor_1.2mm")}
    write_classic_series(acquire(head, CORONAL), folder / "2_t1", tags=tags)


def _emil(key: str, folder: Path) -> None:
    head = Head(seed=15, turn_deg=(3, 2, -1), lesions=True)
    tags = {**_person(key, "063Y", "M"), **SIEMENS, **_t1("t1_mprage_tra_iso")}
    write_classic_series(acquire(head, AXIAL), folder / "2_t1", tags=tags)


def _farah(key: str, folder: Path) -> None:
    still = acquire(Head(seed=16, turn_deg=(5, 0, 3)), AXIAL)
    tags = {**_person(key, "045Y", "F"), **GE, **_t1("Ax T1 BRAVO")}
    shaken = moved(still, axis=1, shots=24, turn_deg=MOVE_DEG, shift_mm=MOVE_MM, rng=np.random.default_rng(16))
    write_classic_series(shaken, folder / "2_t1", tags=tags)


def _goran(key: str, folder: Path) -> None:
    head = Head(seed=17, turn_deg=(2, 0, 0))
    tags = {**_person(key, "050Y", "M"), **SIEMENS, **_t1("t1_mprage_sag_iso")}
    write_classic_series(acquire(head, HALF_OUT), folder / "2_t1", tags=tags)


def _hana(key: str, folder: Path) -> None:
    head = Head(seed=18, turn_deg=(-3, 2, 1))
    tags = {**_person(key, "039Y", "F"), **SIEMENS, **_t1("t1_mprage_tra_iso")}
    paths = write_classic_series(acquire(head, AXIAL), folder / "2_t1", tags=tags)
    paths[len(paths) // 2].unlink()


def _phantom(key: str, folder: Path) -> None:
    tags = {**_person(key, "040Y", "O"), **SIEMENS, **_t1("T1 brain")}
    write_classic_series(phantom(AXIAL, seed=19), folder / "2_t1", tags=tags)


PATIENTS: Mapping[str, Patient] = MappingProxyType(
    {
        "ana": Patient(
            story="fine: sagittal 1 mm T1, with a localizer and a screenshot that must not be chosen",
            expected=Route.ACCEPTED,
            write=_ana,
        ),
        "boris": Patient(
            story="fine: a large head, axial 1 mm T1, with a thick-slice T2 that must not be chosen",
            expected=Route.ACCEPTED,
            write=_boris,
        ),
        "chen": Patient(
            story="fine: a small head in a 256 mm cube full of air, enhanced multi-frame DICOM",
            expected=Route.ACCEPTED,
            write=_chen,
        ),
        "dora": Patient(
            story="fine: oblique coronal T1 at 1.2 mm and 1.5 T",
            expected=Route.ACCEPTED,
            write=_dora,
        ),
        "emil": Patient(
            story="a 4 cm mass with oedema, and small white-matter lesions",
            expected=Route.HUMAN_REVIEW,
            write=_emil,
        ),
        "farah": Patient(
            story="moved during the scan",
            expected=Route.HUMAN_REVIEW,
            write=_farah,
        ),
        "goran": Patient(
            story="half of the head lies outside of the field of view",
            expected=Route.HUMAN_REVIEW,
            write=_goran,
        ),
        "hana": Patient(
            story="one slice in the middle never arrived",
            expected=Code.MISSING_SLICE,
            write=_hana,
        ),
        "phantom": Patient(
            story='not a patient: a quality phantom whose series is labelled "T1 brain"',
            expected=Route.HUMAN_REVIEW,
            write=_phantom,
        ),
    }
)


def _person(key: str, age: str, sex: str) -> dict[str, object]:
    return {
        "PatientName": f"Sample^{key.capitalize()}",
        "PatientID": f"SAMPLE-{key.upper()}",
        "PatientAge": age,
        "PatientSex": sex,
        "StudyDescription": "MR brain, made up",
        "ImageComments": "Made from the MNI152 template; nobody's head.",
    }


def _t1(description: str) -> dict[str, object]:
    return {"SeriesDescription": description, "SeriesNumber": 2}


def _write_screenshot(folder: Path, tags: Mapping[str, object]) -> None:
    """What a console's "save screen" leaves in a study."""
    picture = np.indices((64, 64)).sum(0)[:, :, None].astype(np.float32)
    capture = {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "Modality": "OT",
        "ConversionType": "WSD",
        "ImageType": ["DERIVED", "SECONDARY"],
        "SeriesDescription": "screen save",
        "SeriesNumber": 9,
    }
    write_classic_series(Volume(array=picture, affine=np.eye(4)), folder, tags={**tags, **capture})
