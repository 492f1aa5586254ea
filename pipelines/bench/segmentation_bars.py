"""The bars that were set for the real scans, and the names of what they are set for."""

from collections.abc import Mapping

from pipelines.compare import GRADED
from triage.anatomy import structure_name

BAND_ECE, ERROR_AUROC, LESION_DICE, RHO = 0.05, 0.95, 0.5, 0.7
OASIS_BARS: Mapping[str, float] = {
    "cortical_grey": 0.88,
    "cerebral_white": 0.92,
    "deep_grey": 0.87,
    "hippocampus_amygdala": 0.81,
    "lateral_ventricles": 0.89,
    "cerebellar_grey": 0.92,
    "cerebellar_white": 0.86,
    "brainstem": 0.92,
}
IXI_BARS: Mapping[str, float] = {"grey_matter": 0.88, "white_matter": 0.92, "ventricles": 0.88}
NAMES: Mapping[str, str] = {key: structure_name(number) for key, number in GRADED.items()} | {
    "grey_matter": "Grey matter",
    "white_matter": "White matter",
    "ventricles": "Ventricles",
}
