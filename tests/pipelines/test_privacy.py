"""No patient leaves: canaries in every text of the input, and none in anything that a run writes or prints.

One output is identified on purpose and left out of the search by name: `segmentation.dcm`, the DICOM SEG that goes back
to the archive, must carry the patient and study of its source, or no archive would file it.
"""

import base64
import csv
import gzip
import itertools
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

import nibabel as nib
import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian

import pipelines.run
from pipelines.cli import main
from pipelines.run import find_cases
from pipelines.run_case import Tools
from pipelines.settings import Settings
from tests.builders import a_prediction, a_volume
from tests.fakes import fake_tools
from tests.phantoms import sagittal_affine
from tests.verdicts import BUNDLE
from triage.case import Volume
from triage.dicom.write import write_classic_series
from triage.intake import read_volume
from triage.ports import Queue
from triage.prediction import Prediction
from triage.report import WRITERS
from triage.verdict import BundleId

IDENTIFIED = "segmentation.dcm"

WORD, DATE, TIME, ROOT = "Zzyzx", "18990704", "031415.926535", "1.2.826.0.1.3680043.10.8675309001"
CANARIES = (WORD, DATE, "1899-07-04", "04.07.1899", TIME, "03:14:15", "8675309001")
"""A name that nothing writes by chance, a date and a time in their usual forms, the root of every UID."""

TEXT = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
BY_VR = {"PN": f"{WORD}^{WORD}", "DA": DATE, "TM": TIME, "DT": f"{DATE}{TIME}", "UR": f"http://{WORD}/"}
HOW_IT_WAS_MADE = {"PixelDataProviderURL", "SequenceName", "TimezoneOffsetFromUTC"}
"""Texts that steer the reading: a file whose pixels lie at an address is refused before anything else is looked at."""

SHAPE = (64, 64, 48)
SPACING_MM = (3.0, 3.0, 3.4)


def identity() -> Dataset:
    """Who it is, for nesting."""
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID = BY_VR["PN"], WORD
    dataset.PatientBirthDate, dataset.StudyTime = DATE, TIME
    dataset.ReferencedSOPInstanceUID = f"{ROOT}.9"
    return dataset


def nested(depth: int) -> Dataset:
    """An item with an identity at every level."""
    item = identity()
    item.CodeMeaning = WORD
    if depth:
        item.RequestAttributesSequence = Sequence([nested(depth - 1)])
    return item


def plant_everything(dataset: FileDataset) -> None:
    """Every text, date and time of the standard; private blocks; overlay, icon, file meta and preamble."""
    for number, (vr, _, _, _, keyword) in DicomDictionary.items():
        fits = vr in TEXT | {"DA", "TM", "DT"} and Tag(number).group >= 8
        if fits and keyword and keyword not in HOW_IT_WAS_MADE and not dataset.get(keyword):
            dataset.add_new(number, vr, BY_VR.get(vr, WORD))
    for group in (0x0009, 0x0029, 0x0051):
        block = dataset.private_block(group, f"{WORD} HEADER", create=True)
        block.add_new(0x01, "LO", WORD)
        block.add_new(0x02, "UN", f"PatientName={WORD}.".encode())
        block.add_new(0x03, "SQ", Sequence([nested(1)]))
        block.add_new(0x04, "OB", f"<xml>{WORD} {DATE}</xml>".encode().ljust(40))
    for element, vr, value in ((0x0010, "US", 8), (0x0011, "US", 8), (0x0040, "CS", "G"), (0x0022, "LO", WORD)):
        dataset.add_new((0x6000, element), vr, value)
    dataset.add_new((0x6000, 0x1500), "LO", WORD)
    dataset.add_new((0x6000, 0x3000), "OW", WORD.encode().ljust(8))
    dataset.IconImageSequence = Sequence([nested(0)])
    dataset.OtherPatientIDsSequence = Sequence([nested(3)])
    dataset.file_meta.SourceApplicationEntityTitle = WORD
    dataset.file_meta.PrivateInformationCreatorUID = f"{ROOT}.8"
    dataset.file_meta.PrivateInformation = WORD.encode().ljust(8)
    dataset.preamble = WORD.encode().ljust(128, b"\0")


def a_patient(folder: Path, number: int) -> list[Path]:
    """A series of a made-up patient; the first file holds canaries wherever a file can."""
    volume = a_volume(shape=SHAPE, affine=sagittal_affine(SHAPE, SPACING_MM))
    tags = {
        "PatientName": f"{WORD}^{number}",
        "PatientID": f"{WORD}{number}",
        "PatientBirthDate": DATE,
        "StudyDate": DATE,
        "StudyTime": TIME,
        "AccessionNumber": f"{WORD}{number}",
        "InstitutionName": WORD,
        "SeriesDescription": f"t1 mprage {WORD}",
        "ProtocolName": f"t1 mprage {WORD}",
        "Manufacturer": WORD,
        "StationName": WORD,
        **{name: f"{ROOT}.{number}.{level}" for level, name in enumerate(("StudyInstanceUID", "SeriesInstanceUID"))},
        "FrameOfReferenceUID": f"{ROOT}.{number}.7",
    }
    files = write_classic_series(volume, folder / f"{WORD}^{number}" / DATE, tags=tags)
    for position, path in enumerate(files):
        dataset = dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.{number}.3.{position}"
        if position == 0:
            plant_everything(dataset)
        dataset.save_as(path)
    return [path.rename(path.with_name(f"{WORD}-{path.name}")) for path in files]


def a_structured_report(path: Path) -> None:
    """An object of a kind that is left alone, and names the patient in its text."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = BasicTextSRStorage, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = f"{ROOT}.5"
    report = FileDataset(str(path), identity(), file_meta=meta, preamble=WORD.encode().ljust(128, b"\0"))
    report.SOPClassUID, report.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    report.TextValue = f"The patient {WORD} came on {DATE}."
    report.save_as(path)


def a_nifti(path: Path) -> None:
    """A volume whose header and extension name the patient."""
    image = nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4))
    image.header["descrip"], image.header["aux_file"], image.header["intent_name"] = WORD, WORD, WORD
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", f"{WORD} {DATE}".encode()))
    nib.save(image, path)


@dataclass
class PhantomEngine:
    """Predicts the phantom on the volume's own grid: once sure, once in doubt, then it fails and quotes the header."""

    bundle: BundleId = BUNDLE
    doubts: Iterator[float] = field(default_factory=lambda: itertools.chain((0.2, 9.0)))

    def predict(self, volume: Volume, *, seed: int) -> Prediction:
        doubt = next(self.doubts, None)
        if doubt is None:
            raise RuntimeError(f"cannot segment {WORD}, born {DATE}, of {ROOT}")
        return a_prediction(volume=volume, feature_distance=doubt, seed=seed)


@dataclass(frozen=True)
class Evidence:
    """What a run left: its folder, what it printed, and its exit status."""

    root: Path
    printed: str
    status: int


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good studies, one without a slice, a truncated one, and things that are no images."""
    folder = tmp_path_factory.mktemp("input") / WORD
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
        for number in range(3):
            a_patient(folder, number)
        a_patient(folder, 3)[20].unlink()
        broken = a_patient(folder, 4)
        broken[5].write_bytes(broken[5].read_bytes()[:-3000])
    a_structured_report(folder / f"{WORD}.sr")
    a_nifti(folder / f"{WORD}_T1w.nii.gz")
    (folder / f"{WORD}.txt").write_text(f"{WORD}\n{DATE}")
    (folder / f"{WORD}.dcm").write_bytes(WORD.encode() * 100)
    return folder


@pytest.fixture(scope="module")
def evidence(inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """A run with real reading, writers, queue, log and tracking; only the engine is made up."""
    root = tmp_path_factory.mktemp("run")
    engine = PhantomEngine()

    def gather(settings: Settings, queue: Queue) -> Tools:
        return fake_tools(queue, engine=engine, read=partial(read_volume, limits=settings.limits), writers=WRITERS)

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(pipelines.run, "run", partial(pipelines.run.run, gather=gather, find=find_cases))
        with (root / "printed.txt").open("a") as printed, redirected(printed):
            arguments = [str(inbox), "--out", str(root / "out"), "--state", str(root / "state")]
            status = main(["run", *arguments])
            main(["run", *arguments, "--json"])
            main(["queue", "--state", str(root / "state")])
            main(["queue", "--state", str(root / "state"), "--json"])
    return Evidence(root=root, printed=(root / "printed.txt").read_text(), status=status)


@contextmanager
def redirected(to: TextIO) -> Iterator[None]:
    """Standard output and error go to a file, those of child processes and of libraries in C as well."""
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    try:
        for stream in kept:
            os.dup2(to.fileno(), stream)
        with redirect_stdout(to), redirect_stderr(to):
            yield
    finally:
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)


def searched(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file of a run with its bytes, unpacked where they are packed."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.name != IDENTIFIED:
            content = path.read_bytes()
            yield path, gzip.decompress(content) if path.suffix == ".gz" else content


def forms(canary: str) -> Iterator[bytes]:
    """A canary as it may stand in a file."""
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        yield canary.lower().encode(encoding)
    yield base64.b64encode(canary.encode())[:-4].lower()


def found(content: bytes) -> list[str]:
    lowered = content.lower()
    return [canary for canary in CANARIES if any(form in lowered for form in forms(canary))]


def test_the_input_is_full_of_canaries(inbox: Path) -> None:
    first = sorted((inbox / f"{WORD}^0" / DATE).iterdir())[0].read_bytes()

    assert first.count(WORD.encode()) > 800
    assert {WORD, DATE, TIME, "8675309001"} <= set(found(first))


def test_the_run_met_every_kind_of_end(evidence: Evidence) -> None:
    with (evidence.root / "out" / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert evidence.status == 2
    assert {row["route"] for row in rows} == {"accepted", "human_review", "refused"}
    assert {"INTERNAL", "MISSING_SLICE"} <= {row["code"] for row in rows}


def test_no_file_of_a_run_holds_a_canary(evidence: Evidence) -> None:
    assert {str(path): found(content) for path, content in searched(evidence.root) if found(content)} == {}


def test_no_file_of_a_run_is_named_by_a_canary(evidence: Evidence) -> None:
    names = "\n".join(str(path.relative_to(evidence.root)) for path in evidence.root.rglob("*"))

    assert found(names.encode()) == []


def test_nothing_that_a_run_prints_holds_a_canary(evidence: Evidence) -> None:
    assert all(words in evidence.printed for words in ("decided in", "brain-triage/queue/1", "what to do"))
    assert found(evidence.printed.encode()) == []


@pytest.mark.parametrize("database", ["mlflow.db", "review.db"])
def test_no_cell_of_a_database_holds_a_canary(evidence: Evidence, database: str) -> None:
    with closing(sqlite3.connect(evidence.root / "state" / database)) as connection:
        dump = "\n".join(connection.iterdump())

    assert "bt-" in dump or "bundle.digest" in dump
    assert found(dump.encode()) == []


def test_tracking_holds_the_run_with_its_cases_and_report(evidence: Evidence) -> None:
    artifacts = {path.name for path in (evidence.root / "state" / "artifacts").rglob("*") if path.is_file()}

    assert {"cases.json", "index.html"} <= artifacts


def test_the_search_finds_a_canary_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(f"x{WORD}".encode()))
    (tmp_path / "b").write_bytes(f"x{DATE}".encode("utf-16-le"))
    (tmp_path / "c").write_bytes(f"x{WORD.upper()}".encode())

    assert [found(content) for _, content in searched(tmp_path)] == [[WORD], [DATE], [WORD]]
