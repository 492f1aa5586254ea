"""What a model made of a scan of the test set is kept, but never taken for what it makes of other labels."""

from pathlib import Path

from pipelines.examine import kept_file
from tests.pipelines.test_frozen import a_scan, another_image, other_labels


def test_what_was_made_of_a_scan_is_not_found_again_when_its_image_or_its_labels_are_others(tmp_path: Path) -> None:
    before, again = (kept_file(a_scan(tmp_path), tmp_path, "key") for _ in range(2))
    changed = [kept_file(change(a_scan(tmp_path)), tmp_path, "key") for change in (other_labels, another_image)]

    assert again == before
    assert len({before, *changed}) == 3
