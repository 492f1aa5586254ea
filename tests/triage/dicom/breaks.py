"""Ways to break a sound series, one thing at a time; each takes the folder and the files in it."""

import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, RLELossless, generate_uid

from tests.dicom_builders import (
    AXIAL,
    classic,
    compress,
    decode_here,
    edit,
    edit_all,
    inventory,
    replace_value,
    texts_of,
)
from triage.case import Volume
from triage.errors import Refusal

Break = Callable[[Path, Sequence[Path]], object]
SECRETS = ("Doe^Secret", "SECRET-ID", "19330303", "SECRET STREET")


def secret_series(folder: Path, **tags: object) -> list[Path]:
    return classic(
        folder, **{"PatientName": SECRETS[0], "PatientID": SECRETS[1], "PatientBirthDate": SECRETS[2], **tags}
    )


def outcome(root: Path, folder: Path) -> set[str]:
    """The codes that an inbox ends in; "volume" for a case whose pixels can be read."""
    found = inventory(root)
    texts = texts_of(found)
    assert not any(secret in texts for secret in SECRETS), texts
    assert str(root) not in texts
    codes: set[str] = {refused.code for refused in found.refused}
    for case in found.cases:
        try:
            decode_here(case.structural, folder)
            codes.add("volume")
        except Refusal as refusal:
            codes.add(refusal.code)
            assert not any(secret in str(refusal) for secret in SECRETS)
    return codes


def per_file(change: Callable[[Path], object]) -> Break:
    """Break every file of the series."""
    return lambda _, paths: [change(path) for path in paths]


def one(change: Callable[[Path], object], index: int = 8) -> Break:
    """Break one slice of the series."""
    return lambda _, paths: change(paths[index])


def tags(**changes: object) -> Break:
    return lambda _, paths: edit_all(paths, **changes)


def one_tag(index: int = 8, **changes: object) -> Break:
    return lambda _, paths: edit(paths[index], **changes)


def raw(keyword: str, value: bytes, index: int | None = None) -> Break:
    """A value that a writer would refuse, in every slice or in one."""
    return lambda _, paths: [
        replace_value(path, keyword, value) for path in (paths if index is None else [paths[index]])
    ]


def replaced_by(content: bytes, name: str = "lone.dcm") -> Break:
    """A file with this content instead of the series."""

    def change(folder: Path, paths: Sequence[Path]) -> None:
        for path in paths:
            path.unlink()
        (folder / name).write_bytes(content)

    return change


def cut(count: int) -> Break:
    return per_file(lambda path: path.write_bytes(path.read_bytes()[:-count]))


def longer_pixels(path: Path) -> None:
    edit(path, lambda dataset: setattr(dataset, "PixelData", dataset.PixelData + bytes(100_000)))


def nested(depth: int) -> bytes:
    """A private sequence of undefined length in itself, `depth` times, never recursing here either."""
    open_one = struct.pack("<HH2sHI", 0x0009, 0x1001, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    close_one = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return open_one * depth + close_one * depth


def at_group_9(elements: bytes) -> Callable[[Path], None]:
    """Insert elements of the private group 0009, in order, before group 0010."""

    def change(path: Path) -> None:
        data = path.read_bytes()
        at = data.index(b"\x10\x00\x10\x00PN")
        path.write_bytes(data[:at] + elements + data[at:])

    return change


def codestream_30000(transfer_syntax: str) -> Callable[[Path], None]:
    if transfer_syntax == JPEG2000Lossless:
        size = struct.pack(">HHHIIIIIIIIH", 0xFF51, 41, 0, 30000, 30000, 0, 0, 30000, 30000, 0, 0, 1)
        stream = b"\xff\x4f" + size + b"\x0f\x01\x01" + bytes(200)
    else:
        stream = b"\xff\xd8\xff\xf7" + struct.pack(">HBHHB", 11, 16, 30000, 30000, 1) + b"\x01\x11\x00" + bytes(200)
    return lambda path: compress(path, transfer_syntax, stream)


def lying_fragments(path: Path) -> None:
    compress(path, RLELossless)
    data = path.read_bytes()
    at = data.rindex(b"\xfe\xff\x00\xe0")
    path.write_bytes(data[: at + 4] + (1 << 30).to_bytes(4, "little") + data[at + 8 :])


def no_sequence_end(path: Path) -> None:
    compress(path, RLELossless)
    path.write_bytes(path.read_bytes()[:-8])


def jitter(path: Path) -> None:
    noise = np.random.default_rng(int(path.stem)).normal(0, 1e-8, 6)
    edit(path, ImageOrientationPatient=[float(f"{v:.12g}") for v in np.array([1, 0, 0, 0, 1, 0]) + noise])


def everywhere_secret(_: Path, paths: Sequence[Path]) -> None:
    nested_item = Dataset()
    nested_item.PatientName = SECRETS[0]
    for path in paths:
        edit(
            path,
            lambda dataset: dataset.add_new(0x60004000, "LT", SECRETS[0]),
            RequestAttributesSequence=[nested_item],
            SeriesDescription=f"{SECRETS[0]} T1",
            InstitutionAddress=SECRETS[3],
        )
        path.rename(path.with_name(f"{SECRETS[0]}_{path.name}"))


def shear(path: Path) -> None:
    def change(dataset: Dataset) -> None:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + 0.2 * z, z]

    edit(path, change)


def duplicate_with_new_uid(folder: Path, paths: Sequence[Path]) -> None:
    shutil.copy(paths[8], folder / "again.dcm")
    edit(folder / "again.dcm", lambda ds: setattr(ds.file_meta, "MediaStorageSOPInstanceUID", generate_uid()))
    edit(folder / "again.dcm", SOPInstanceUID=generate_uid())


def duplicate_with_other_pixels(folder: Path, paths: Sequence[Path]) -> None:
    shutil.copy(paths[8], folder / "again.dcm")
    edit(folder / "again.dcm", lambda ds: setattr(ds, "PixelData", bytes(len(ds.PixelData))))


def second_stack(**changes: object) -> Break:
    """The same positions once more in the same series, with these attributes different."""

    def change(folder: Path, paths: Sequence[Path]) -> None:
        for path in paths:
            copy = folder / f"second_{path.name}"
            shutil.copy(path, copy)
            edit(copy, SOPInstanceUID=generate_uid(), **changes)

    return change


def same_series_under_two_patients(folder: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        copy = folder / f"second_{path.name}"
        shutil.copy(path, copy)
        edit(copy, SOPInstanceUID=generate_uid(), PatientID="SOMEONE-ELSE")


def smaller(path: Path) -> None:
    edit(path, Rows=20, Columns=18, PixelData=bytes(2 * 20 * 18))


def with_values(array: np.ndarray) -> Break:
    """The series with other pixels."""

    def change(folder: Path, paths: Sequence[Path]) -> None:
        for path in paths:
            path.unlink()
        classic(folder, volume=Volume(array=array.astype(np.float32), affine=AXIAL))

    return change


EMPTY_META = bytes(128) + b"DICM"
SHAPE = (20, 22, 18)


def preamble(start: bytes) -> Break:
    return per_file(lambda p: p.write_bytes(start.ljust(128, b"\0") + p.read_bytes()[128:]))


def shuffled_numbers(_: Path, paths: Sequence[Path]) -> None:
    for path, number in zip(paths, np.random.default_rng(0).permutation(len(paths)), strict=True):
        edit(path, InstanceNumber=int(number))


def exact_duplicate(folder: Path, paths: Sequence[Path]) -> None:
    shutil.copy(paths[8], folder / "again.dcm")


def seventeen_characters(_: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        z = float(pydicom.dcmread(path).ImagePositionPatient[2])
        replace_value(path, "ImagePositionPatient", f"-50.0000000000000\\-55\\{z}".encode())
