"""Settings: defaults that work, YAML that names what differs, errors that help."""

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.settings import Settings, Tracking, known_settings, load_settings
from triage.dicom.limits import ReadLimits
from triage.errors import TriageError


def from_yaml(folder: Path, text: str) -> Settings:
    file = folder / "settings.yaml"
    file.write_text(text)
    return load_settings(file)


def test_nothing_has_to_be_set() -> None:
    assert load_settings() == Settings()


def test_the_shipped_file_changes_nothing(repository: Path) -> None:
    assert load_settings(repository / "configs" / "default.yaml") == Settings()


def test_a_file_names_only_what_differs(tmp_path: Path) -> None:
    settings = from_yaml(tmp_path, "threads: 64\ntracking:\n  report: false\nlimits:\n  depth: 8\n")

    assert settings == Settings(threads=64, tracking=Tracking(report=False), limits=ReadLimits(depth=8))


@pytest.mark.parametrize("text", ["sample: 64", "tracking:\n  urls: x", "limits:\n  deep: 8"])
def test_an_unknown_setting_is_an_error_that_names_it_and_lists_the_known_ones(tmp_path: Path, text: str) -> None:
    with pytest.raises(TriageError) as error:
        from_yaml(tmp_path, text)

    name = text.replace(":\n  ", ".").partition(":")[0]
    assert f"{name}: not a known setting" in error.value.message
    assert all(known in error.value.do for known in ("threads", "tracking.uri", "limits.depth"))


@pytest.mark.parametrize("text", ["threads: many", "device: tpu", "threads: 0", "seed: -1"])
def test_a_value_out_of_range_is_an_error_that_names_its_setting(tmp_path: Path, text: str) -> None:
    with pytest.raises(TriageError, match=text.partition(":")[0]):
        from_yaml(tmp_path, text)


@pytest.mark.parametrize("text", ["- a\n- b", "just words", "a: [", "a: !!python/object:os.system x", "\x00"])
def test_a_file_that_is_no_settings_file_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(TriageError, match=r"settings\.yaml"):
        from_yaml(tmp_path, text)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TriageError, match="FileNotFoundError"):
        load_settings(tmp_path / "none.yaml")


def test_settings_cannot_change_during_a_run() -> None:
    with pytest.raises(ValidationError):
        Settings().threads = 5  # type: ignore[misc]


def test_the_command_line_overrides_the_file_and_leaves_the_rest(tmp_path: Path) -> None:
    file = from_yaml(tmp_path, "threads: 64\ntracking:\n  uri: http://a\nlimits:\n  depth: 8\n")
    settings = file.changed({"threads": 16, "seed": None, "tracking": {"on": False}})

    assert settings == Settings(threads=16, tracking=Tracking(on=False, uri="http://a"), limits=ReadLimits(depth=8))


def test_state_lies_beside_the_output_unless_it_is_told(tmp_path: Path) -> None:
    beside = Settings(out=tmp_path / "out")
    told = Settings(out=tmp_path / "out", state=tmp_path / "elsewhere")

    assert beside.state_folder == tmp_path / "brain-triage-state"
    assert {beside.review_file.parent, beside.pseudonym_key.parent, beside.log.parent} == {beside.state_folder}
    assert told.state_folder == tmp_path / "elsewhere"


def test_another_review_database_can_be_named() -> None:
    url = "postgresql+psycopg://host/triage"

    assert Settings(review_url=url).review_database == url


def test_every_setting_is_listed() -> None:
    own = {name for name in Settings.model_fields if name not in ("tracking", "limits")}
    nested = {f"tracking.{name}" for name in Tracking.model_fields} | {f"limits.{f.name}" for f in fields(ReadLimits)}

    assert set(known_settings()) == own | nested
