"""Functional groups of an Enhanced MR image: what is the same in all frames, and what differs (PS3.3 A.36.2.3)."""

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset

from triage.dicom.attributes import dataset_of

NOT_TOP_LEVEL = frozenset(
    {
        "EchoTime",
        "RepetitionTime",
        "InversionTime",
        "FlipAngle",
        "ScanningSequence",
        "SequenceVariant",
        "EchoTrainLength",
    }
)
"""Attributes of the classic object that an enhanced one keeps elsewhere, or not at all."""


def shared_groups(
    attributes: Mapping[str, object], orientation: Sequence[str], measures: Dataset, values: Dataset
) -> Dataset:
    """The one item of the Shared Functional Groups Sequence."""
    inversion = attributes.get("InversionTime")
    groups: dict[str, Mapping[str, object] | Dataset] = {
        "PixelMeasuresSequence": measures,
        "PixelValueTransformationSequence": values,
        "PlaneOrientationSequence": {"ImageOrientationPatient": list(orientation)},
        "FrameAnatomySequence": {"FrameLaterality": "B", "AnatomicRegionSequence": [_BRAIN]},
        "MRImageFrameTypeSequence": {
            "FrameType": attributes["ImageType"],
            "PixelPresentation": "MONOCHROME",
            "VolumetricProperties": "VOLUME",
            "VolumeBasedCalculationTechnique": "NONE",
            "ComplexImageComponent": attributes["ComplexImageComponent"],
            "AcquisitionContrast": attributes["AcquisitionContrast"],
        },
        "MRTimingAndRelatedParametersSequence": {
            "RepetitionTime": attributes["RepetitionTime"],
            "FlipAngle": attributes["FlipAngle"],
            "EchoTrainLength": 1,
            "RFEchoTrainLength": 0,
            "GradientEchoTrainLength": 1,
            "SpecificAbsorptionRateSequence": [_SPECIFIC_ABSORPTION],
            "GradientOutputType": "DB_DT",
            "GradientOutput": 0.0,
            "OperatingModeSequence": [
                dataset_of({"OperatingModeType": kind, "OperatingMode": "IEC_NORMAL"})
                for kind in ("STATIC FIELD", "RF", "GRADIENT")
            ],
        },
        "MRFOVGeometrySequence": {
            "InPlanePhaseEncodingDirection": "ROW",
            "MRAcquisitionFrequencyEncodingSteps": 256,
            "MRAcquisitionPhaseEncodingStepsInPlane": 256,
            "MRAcquisitionPhaseEncodingStepsOutOfPlane": 256,
            "PercentSampling": 100,
            "PercentPhaseFieldOfView": 100,
        },
        "MREchoSequence": {"EffectiveEchoTime": attributes["EchoTime"]},
        "MRModifierSequence": {
            "InversionRecovery": "YES" if inversion else "NO",
            "InversionTimes": [inversion] if inversion else None,
            "FlowCompensation": "NONE",
            "Spoiling": "RF",
            "T2Preparation": "NO",
            "SpectrallySelectedExcitation": "NONE",
            "SpatialPresaturation": "NONE",
            "PartialFourier": "NO",
            "ParallelAcquisition": "NO",
        },
        "MRImagingModifierSequence": {
            "MagnetizationTransfer": "NONE",
            "BloodSignalNulling": "NO",
            "Tagging": "NONE",
            "TransmitterFrequency": 123.2,
            "PixelBandwidth": 200,
        },
        "MRReceiveCoilSequence": {
            "ReceiveCoilName": "HEAD",
            "ReceiveCoilManufacturerName": "",
            "ReceiveCoilType": "VOLUME",
            "QuadratureReceiveCoil": "NO",
        },
        "MRTransmitCoilSequence": {
            "TransmitCoilName": "BODY",
            "TransmitCoilManufacturerName": "",
            "TransmitCoilType": "BODY",
        },
        "MRAveragesSequence": {"NumberOfAverages": 1.0},
    }
    return dataset_of({keyword: [_item(content)] for keyword, content in groups.items()})


def per_frame_groups(attributes: Mapping[str, object], positions: Sequence[Sequence[str]]) -> list[Dataset]:
    """The items of the Per-Frame Functional Groups Sequence: position and place in the stack."""
    return [
        dataset_of(
            {
                "FrameContentSequence": [
                    dataset_of(
                        {
                            "FrameAcquisitionNumber": attributes["AcquisitionNumber"],
                            "FrameReferenceDateTime": attributes["AcquisitionDateTime"],
                            "FrameAcquisitionDateTime": attributes["AcquisitionDateTime"],
                            "FrameAcquisitionDuration": attributes["AcquisitionDuration"],
                            "StackID": "1",
                            "InStackPositionNumber": place,
                            "DimensionIndexValues": [1, place],
                        }
                    )
                ],
                "PlanePositionSequence": [dataset_of({"ImagePositionPatient": list(position)})],
            }
        )
        for place, position in enumerate(positions, start=1)
    ]


def _item(content: Mapping[str, object] | Dataset) -> Dataset:
    return content if isinstance(content, Dataset) else dataset_of(content)


_BRAIN = dataset_of({"CodeValue": "12738006", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Brain"})
_SPECIFIC_ABSORPTION = dataset_of({"SpecificAbsorptionRateDefinition": "IEC_HEAD", "SpecificAbsorptionRateValue": 0.1})
