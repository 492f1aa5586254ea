import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.dicom_builders import LIMITS, classic, inventory, only_case, phantom
from triage.case import Volume
from triage.errors import Code, Refusal
from triage.intake import read_volume


def refusal_of(series, limits=LIMITS) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        read_volume(series, limits=limits)
    return refusal.value


def stand_in_for_python(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_the_volume_comes_back_as_it_was_written(tmp_path):
    classic(tmp_path)

    volume = read_volume(only_case(tmp_path).structural)

    assert np.array_equal(volume.array, phantom().array)
    assert volume.array.dtype == np.float32
    assert np.allclose(volume.affine, phantom().affine)


def test_decoding_that_takes_too_long_is_stopped(tmp_path):
    classic(tmp_path)

    assert refusal_of(only_case(tmp_path).structural, replace(LIMITS, decode_seconds=0.01)).code is Code.DECODE_LIMIT


def test_decoding_that_takes_too_much_memory_is_stopped(tmp_path):
    shape = (400, 400, 50)
    volume = Volume(
        array=np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 999, affine=np.diag([0.5, 0.5, 2, 1])
    )
    classic(tmp_path, volume=volume)  # 32 MB as float32

    assert refusal_of(only_case(tmp_path).structural, replace(LIMITS, decode_bytes=8 << 20)).code is Code.DECODE_LIMIT


@pytest.mark.parametrize(
    "script",
    ["kill -9 $$", "kill -ABRT $$", "exit 1", "echo not json", "echo '[1, 2]'", "echo '{}'", "true"],
)
def test_a_process_that_dies_or_babbles_is_a_refusal(script, tmp_path, monkeypatch):
    classic(tmp_path / "in")
    series = only_case(tmp_path / "in").structural
    monkeypatch.setattr(sys, "executable", stand_in_for_python(tmp_path / "python", script))

    assert refusal_of(series).code is Code.DECODE_FAIL


def test_strange_file_names_reach_the_process_unharmed(tmp_path):
    for path in classic(tmp_path):
        path.rename(path.with_name(f"$(rm) ;\n'\"\udcff {path.stem}"))

    assert read_volume(only_case(tmp_path).structural).array.shape == (20, 22, 18)


def test_nothing_of_the_patient_stays_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    classic(tmp_path / "in")

    read_volume(inventory(tmp_path / "in").cases[0].structural)

    assert list((tmp_path / "tmp").iterdir()) == []
