"""DICOM for tests: sound series from `triage.dicom.write`, and ways to break exactly one thing in them."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from triage.case import Case, Inventory, RefusedInput, Series, Volume
from triage.dicom.deid import Pseudonyms
from triage.dicom.header import quiet_pydicom
from triage.dicom.limits import ReadLimits
from triage.dicom.volume import decode_dicom
from triage.dicom.write import write_classic_series, write_enhanced_series
from triage.intake import take_inventory

PSEUDONYMS = Pseudonyms(key=bytes(range(32)))
LIMITS = ReadLimits()

AXIAL = np.array([[-5.0, 0, 0, 50], [0, -5, 0, 55], [0, 0, 5, -45], [0, 0, 0, 1]])
SAGITTAL = np.array([[0, 0, 5.0, -45], [-5, 0, 0, 50], [0, -5, 0, 55], [0, 0, 0, 1]])
CORONAL = np.array([[-5.0, 0, 0, 50], [0, 0, -5, 45], [0, -5, 0, 55], [0, 0, 0, 1]])

FLAIR = {
    "ScanningSequence": ["SE", "IR"],
    "EchoTime": 120,
    "RepetitionTime": 9000,
    "InversionTime": 2500,
    "SeriesDescription": "FLAIR",
    "AcquisitionContrast": "FLUID_ATTENUATED",
}
T2 = {
    "ScanningSequence": "SE",
    "EchoTime": 90,
    "RepetitionTime": 4000,
    "InversionTime": None,
    "SeriesDescription": "T2",
    "AcquisitionContrast": "T2",
}


def phantom(affine: np.ndarray = AXIAL, shape: tuple[int, int, int] = (20, 22, 18), seed: int = 0) -> Volume:
    """A bright ellipsoid with noise, different on every axis; whole numbers, so that it is stored without rounding."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    head = (x / 0.7) ** 2 + (y / 0.8) ** 2 + (z / 0.9) ** 2 < 1
    array = np.where(head, 300 + 80 * x + 40 * y + 20 * z, 10) + rng.integers(0, 10, shape)
    return Volume(array=np.rint(array).astype(np.float32), affine=affine)


def classic(folder: Path, *, volume: Volume | None = None, **tags: object) -> list[Path]:
    """A sound classic T1 series in the folder."""
    return write_classic_series(volume or phantom(), folder, tags=tags)


def enhanced(folder: Path, *, volume: Volume | None = None, **tags: object) -> Path:
    """A sound enhanced T1 series in the folder: its one file."""
    return write_enhanced_series(volume or phantom(), folder, tags=tags)[0]


def edit(path: Path, change: Callable[[Dataset], object] | None = None, **tags: object) -> None:
    """Rewrite a file with other attributes; None removes one."""
    with quiet_pydicom():
        dataset = pydicom.dcmread(path)
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        if change is not None:
            change(dataset)
        dataset.save_as(path)


def edit_all(paths: Sequence[Path], change: Callable[[Dataset], object] | None = None, **tags: object) -> None:
    for path in paths:
        edit(path, change, **tags)


def replace_value(path: Path, keyword: str, value: bytes) -> None:
    """Overwrite the raw value of an explicit little-endian element, which pydicom would refuse to write."""
    data = path.read_bytes()
    element = pydicom.dcmread(path)[keyword]
    at = data.index(element.tag.group.to_bytes(2, "little") + element.tag.element.to_bytes(2, "little"))
    old = int.from_bytes(data[at + 6 : at + 8], "little")
    value += b" " * (len(value) % 2)
    path.write_bytes(data[: at + 6] + len(value).to_bytes(2, "little") + value + data[at + 8 + old :])


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    """An explicit little-endian element with a 2-byte length."""
    head = group.to_bytes(2, "little") + number.to_bytes(2, "little") + vr
    return head + len(value).to_bytes(2, "little") + value


def compress(path: Path, transfer_syntax: str, codestream: bytes | None = None) -> None:
    """Compress a file's pixels; with a codestream, put that in their place."""
    dataset = pydicom.dcmread(path)
    if codestream is None:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    else:
        dataset.PixelData = pydicom.encaps.encapsulate([codestream])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.save_as(path)


def as_bytes(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def inventory(root: Path, limits: ReadLimits = LIMITS) -> Inventory:
    return take_inventory(root, pseudonyms=PSEUDONYMS, limits=limits)


def only_case(root: Path) -> Case:
    """The one case of an inbox that holds nothing else of weight."""
    found = inventory(root)
    assert not found.refused, found.refused
    (case,) = found.cases
    return case


def only_refusal(root: Path, limits: ReadLimits = LIMITS) -> RefusedInput:
    found = inventory(root, limits)
    assert not found.cases, found.cases
    (refused,) = found.refused
    return refused


def decode_here(series: Series, folder: Path, limits: ReadLimits = LIMITS) -> Volume:
    """Decode without a process of its own: for the many tests that ask for the right voxels, not for confinement."""
    folder.mkdir(parents=True, exist_ok=True)
    return decode_dicom(series.files, folder / "decoded.npy", slices=series.shape[2], limits=limits)


def texts_of(found: Inventory) -> str:
    """Every text of an inventory that may be written somewhere."""
    parts: list[str] = [*found.skipped]
    for case in found.cases:
        parts += [case.pseudonym, case.structural.pseudonym, case.structural.manufacturer]
        parts += [f"{other.pseudonym} {other.why}" for other in case.others]
    for refused in found.refused:
        parts += [refused.pseudonym, refused.message, refused.do]
        parts += [f"{other.pseudonym} {other.why}" for other in refused.others]
    return "\n".join(parts)
