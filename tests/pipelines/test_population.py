import math
from dataclasses import replace

import pytest

from pipelines.population import groups_of, masks, oldest_years
from tests.pipelines.scored_cases import a_scan, an_image


def test_every_scan_is_of_one_group_of_each_kind() -> None:
    scans = [a_scan(k, "test") for k in range(9)]

    found = dict(masks(scans))

    assert found["vendor Philips"].all()
    assert found["field strength 3 T"].all()
    assert sum(mask for name, mask in found.items() if name.startswith("age")).tolist() == [1] * 9  # type: ignore[union-attr]
    assert found["age 18 to 39"].tolist() == [20 + k < 40 for k in range(9)]


@pytest.mark.parametrize(
    ("vendor", "tesla", "groups"),
    [
        ("SIEMENS Healthineers", 2.89, ("Siemens", "3 T")),
        ("GE MEDICAL SYSTEMS", 1.494, ("GE", "1.5 T")),
        ("Hyperfine", 0.064, ("other", "other")),
        ("Philips", 7.0, ("Philips", "other")),
        ("", None, ("not stated", "not stated")),
    ],
)
def test_the_scanner_is_what_the_table_says(vendor: str, tesla: float | None, groups: tuple[str, str]) -> None:
    scan = replace(a_scan(1, "test"), subject="a-HH-b OAS1_0001", vendor=vendor, field_strength_t=tesla)

    found = groups_of(scan)

    assert (found["vendor"], found["field strength"]) == groups


def test_the_table_goes_before_the_name_of_a_public_subject() -> None:
    public = replace(a_scan(1, "test"), subject="OAS1_0061")

    assert groups_of(public)["vendor"] == "Siemens"
    assert groups_of(replace(public, vendor="GE"))["vendor"] == "GE"


@pytest.mark.parametrize(
    ("voxel_mm", "group"),
    [(1.0, "up to 1.25 mm"), (1.25, "up to 1.25 mm"), (2.0, "1.25 to 2.5 mm"), (5.0, "over 2.5 mm")],
)
def test_the_voxel_is_that_of_the_image_along_its_longest_edge(voxel_mm: float, group: str) -> None:
    scan = replace(a_scan(1, "test"), t1=an_image(voxel_mm), voxel="1mm")

    assert groups_of(scan)["voxel"] == group


def test_the_oldest_is_told_in_completed_years_and_only_where_an_age_is_stated() -> None:
    scans = [replace(a_scan(k, "calibrate"), age_years=age) for k, age in enumerate((None, 20.0, 74.64))]

    assert oldest_years(scans) == 74
    assert oldest_years(scans[:1]) == math.inf
