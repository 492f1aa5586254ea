"""The groups that a promise is looked at in: field strength, vendor, voxel size, age band."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.scans import Scan

SCANNERS: Mapping[str, tuple[str, str]] = {
    "-HH-": ("Philips", "3 T"),
    "-Guys-": ("Philips", "1.5 T"),
    "-IOP-": ("GE", "1.5 T"),
    "OAS1_": ("Siemens", "1.5 T"),
}
"""Part of a subject's name in public collections -> vendor and field strength, by the pages of IXI and OASIS."""
AGES = (18, 40, 60, 75)
"""Bands begin here."""
UNKNOWN = "not stated"
GROUPS: Mapping[str, Sequence[str]] = {
    "field strength": ("1.5 T", "3 T", UNKNOWN),
    "vendor": ("GE", "Philips", "Siemens", UNKNOWN),
    "voxel": ("1 mm", "2 mm", UNKNOWN),
    "age": ("18 to 39", "40 to 59", "60 to 74", "75 and over", UNKNOWN),
}
"""Every group that a reader would ask for; those without a case are shown as well."""


def groups_of(scan: Scan) -> Mapping[str, str]:
    """The scan's group of each kind in GROUPS."""
    vendor, field = next((known for part, known in SCANNERS.items() if part in scan.subject), (UNKNOWN, UNKNOWN))
    voxel = scan.voxel.replace("mm", " mm")
    return {
        "field strength": field,
        "vendor": vendor,
        "voxel": voxel if voxel in GROUPS["voxel"] else UNKNOWN,
        "age": _band(scan.age_years),
    }


def masks(scans: Sequence[Scan]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name of every group, and which of the scans are of it."""
    own = [groups_of(scan) for scan in scans]
    for kind, names in GROUPS.items():
        for name in names:
            yield f"{kind} {name}", np.array([groups[kind] == name for groups in own], bool)


def _band(age: float | None) -> str:
    if age is None or not age >= AGES[0]:
        return UNKNOWN
    return GROUPS["age"][int(np.searchsorted(AGES, age, side="right")) - 1]
