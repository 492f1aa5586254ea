"""The frozen test set: neither other scans nor other labels go unseen."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.frozen import freeze_set, frozen_digest, frozen_set
from pipelines.scans import Scan
from pipelines.settings import Settings


def a_scan(folder: Path, name: str = "a") -> Scan:
    image, labels = folder / f"{name}.t1", folder / f"{name}.labels"
    image.write_bytes(b"image of " + name.encode())
    labels.write_bytes(b"labels of " + name.encode())
    return Scan(name=name, split="test", finding="normal", t1=image, labels=labels, manual=True)


def other_labels(scan: Scan) -> Scan:
    assert scan.labels is not None
    scan.labels.write_bytes(b"other")
    return scan


def another_image(scan: Scan) -> Scan:
    scan.t1.write_bytes(b"other")
    return scan


@pytest.mark.parametrize(
    "change",
    [
        other_labels,
        another_image,
        lambda scan: replace(scan, finding="tumour"),
        lambda scan: replace(scan, age_years=40.0),
        lambda scan: replace(scan, labels=None),
        lambda scan: replace(scan, subject="somebody"),
    ],
)
def test_a_test_set_is_another_one_when_anything_that_is_read_of_it_is(
    tmp_path: Path, change: Callable[[Scan], Scan]
) -> None:
    before = frozen_digest([a_scan(tmp_path)])

    assert frozen_digest([change(a_scan(tmp_path))]) != before


def test_the_order_of_the_table_makes_no_other_test_set_and_one_scan_less_does(tmp_path: Path) -> None:
    scans = [a_scan(tmp_path, name) for name in "abc"]

    assert frozen_digest(scans[::-1]) == frozen_digest(scans)
    assert frozen_digest(scans[1:]) != frozen_digest(scans)


def test_a_test_set_stays_frozen_until_another_one_is_and_none_is_no_test_set(tmp_path: Path) -> None:
    settings = Settings(out=tmp_path / "out", state=tmp_path)
    assert frozen_set(settings) == ""

    freeze_set(settings, "ab" * 32)
    freeze_set(settings, frozen_digest([]))

    assert frozen_set(settings) == "ab" * 32
