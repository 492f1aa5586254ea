"""The groups that a promise is looked at in: field strength, vendor, voxel size, age band."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.scans import Scan, voxel_mm
from triage.case import in_tesla
from triage.dicom.acquisition import manufacturer_of

PUBLIC_SETS: Mapping[str, tuple[str, str]] = {
    r"IXI\d+-HH-": ("Philips", "3 T"),
    r"IXI\d+-Guys-": ("Philips", "1.5 T"),
    r"IXI\d+-IOP-": ("GE", "1.5 T"),
    r"OAS1_\d+": ("Siemens", "1.5 T"),
}
"""How subjects of public collections are named -> vendor and field strength, by the pages of IXI and OASIS. Used only
where the table does not say."""
AGES = (18, 40, 60, 75)
"""Bands begin here."""
VOXELS_MM = (1.25, 2.5)
"""Bands of the longest voxel edge end here."""
OTHER = "other"
UNKNOWN = "not stated"
GROUPS: Mapping[str, Sequence[str]] = {
    "field strength": ("1.5 T", "3 T", OTHER, UNKNOWN),
    "vendor": ("GE", "Philips", "Siemens", OTHER, UNKNOWN),
    "voxel": ("up to 1.25 mm", "1.25 to 2.5 mm", "over 2.5 mm"),
    "age": ("18 to 39", "40 to 59", "60 to 74", "75 and over", UNKNOWN),
}
"""Every group that a reader would ask for; those without a case are shown as well."""


def groups_of(scan: Scan) -> Mapping[str, str]:
    """The scan's group of each kind in GROUPS: from the table and the image; scanners of public sets by their names."""
    named = next((known for name, known in PUBLIC_SETS.items() if re.match(name, scan.subject)), (UNKNOWN, UNKNOWN))
    vendor = manufacturer_of(scan.vendor) if scan.vendor else named[0]
    field = in_tesla(scan.field_strength_t) if scan.field_strength_t else named[1]
    return {
        "field strength": field if field in GROUPS["field strength"] else OTHER,
        "vendor": vendor if vendor in GROUPS["vendor"] else OTHER,
        "voxel": GROUPS["voxel"][int(np.searchsorted(VOXELS_MM, round(voxel_mm(scan.t1), 2)))],
        "age": _band(scan.age_years),
    }


def masks(scans: Sequence[Scan]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name of every group, and which of the scans are of it."""
    own = [groups_of(scan) for scan in scans]
    for kind, names in GROUPS.items():
        for name in names:
            yield f"{kind} {name}", np.array([groups[kind] == name for groups in own], bool)


def oldest_years(scans: Sequence[Scan]) -> float:
    """The oldest stated age, in completed years; infinity when none is stated."""
    return max((float(math.floor(scan.age_years)) for scan in scans if scan.age_years is not None), default=math.inf)


def _band(age: float | None) -> str:
    if age is None or not age >= AGES[0]:
        return UNKNOWN
    return GROUPS["age"][int(np.searchsorted(AGES, age, side="right")) - 1]
