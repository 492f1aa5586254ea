"""Default attributes of the MR objects that we write: all of Type 1 and 2 in their IODs (PS3.3 A.4, A.36)."""

from collections.abc import Mapping

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from triage import __version__

_DATE, _TIME = "20200101", "120000"

_COMMON: Mapping[str, object] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Phantom^Written",
    "PatientID": "PHANTOM",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "PatientAge": "040Y",
    "PatientWeight": "70",
    "StudyDate": _DATE,
    "StudyTime": _TIME,
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "StudyID": "1",
    "Modality": "MR",
    "SeriesNumber": 1,
    "SeriesDate": _DATE,
    "SeriesTime": _TIME,
    "SeriesDescription": "T1 3D",
    "PatientPosition": "HFS",
    "BodyPartExamined": "HEAD",
    "PositionReferenceIndicator": "",
    "Manufacturer": "brain-triage",
    "ManufacturerModelName": "brain-triage phantom",
    "DeviceSerialNumber": "1",
    "SoftwareVersions": __version__,
    "MagneticFieldStrength": 3.0,
    "AcquisitionNumber": 1,
    "ContentDate": _DATE,
    "ContentTime": _TIME,
    "BurnedInAnnotation": "NO",
    "LossyImageCompression": "00",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 0,
}

CLASSIC: Mapping[str, object] = {
    **_COMMON,
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM"],
    "ScanningSequence": ["GR", "IR"],
    "SequenceVariant": ["SP", "MP"],
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "SequenceName": "tfl3d1",
    "EchoTime": 2.98,
    "RepetitionTime": 2300,
    "InversionTime": 900,
    "FlipAngle": 9,
    "EchoTrainLength": 1,
}

ENHANCED: Mapping[str, object] = {
    **_COMMON,
    "ImageType": ["ORIGINAL", "PRIMARY", "T1", "NONE"],
    "AcquisitionDateTime": _DATE + _TIME,
    "AcquisitionDuration": 300.0,
    "InstanceNumber": 1,
    "PresentationLUTShape": "IDENTITY",
    "PixelPresentation": "MONOCHROME",
    "VolumetricProperties": "VOLUME",
    "VolumeBasedCalculationTechnique": "NONE",
    "ComplexImageComponent": "MAGNITUDE",
    "AcquisitionContrast": "T1",
    "ContentQualification": "RESEARCH",
    "ResonantNucleus": "1H",
    "KSpaceFiltering": "NONE",
    "ApplicableSafetyStandardAgency": "IEC",
    "MRAcquisitionType": "3D",
    "PulseSequenceName": "tfl3d1",
    "EchoPulseSequence": "GRADIENT",
    "MultiPlanarExcitation": "NO",
    "PhaseContrast": "NO",
    "TimeOfFlightContrast": "NO",
    "SteadyStatePulseSequence": "NONE",
    "EchoPlanarPulseSequence": "NO",
    "SaturationRecovery": "NO",
    "SpectrallySelectedSuppression": "NONE",
    "OversamplingPhase": "NONE",
    "GeometryOfKSpaceTraversal": "RECTILINEAR",
    "SegmentedKSpaceTraversal": "SINGLE",
    "RectilinearPhaseEncodeReordering": "LINEAR",
    "CoverageOfKSpace": "FULL",
    "NumberOfKSpaceTrajectories": 1,
    "AcquisitionContextSequence": [],
    "EchoTime": 2.98,
    "RepetitionTime": 2300,
    "InversionTime": 900,
    "FlipAngle": 9,
}


def uid_for(*parts: str) -> str:
    """A UID that is the same for the same parts: a series that is written twice is the same series."""
    return str(generate_uid(entropy_srcs=["brain-triage", *parts]))


def dataset_of(attributes: Mapping[str, object]) -> Dataset:
    """A dataset with the attributes by keyword; an attribute set to None is left out."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset
