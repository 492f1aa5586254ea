from pipelines.population import masks
from tests.pipelines.scored_cases import a_scan


def test_every_scan_is_of_one_group_of_each_kind() -> None:
    scans = [a_scan(k, "test") for k in range(9)]

    found = dict(masks(scans))

    assert found["vendor Philips"].all()
    assert found["field strength 3 T"].all()
    assert sum(mask for name, mask in found.items() if name.startswith("age")).tolist() == [1] * 9  # type: ignore[union-attr]
    assert found["age 18 to 39"].tolist() == [20 + k < 40 for k in range(9)]
