"""What a newcomer sees first: the sample inbox, sorted as its patients were made."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.sample import make_sample_inbox
from pipelines.sample_patients import PATIENTS
from triage.dicom.deid import Pseudonyms, load_or_create_key
from triage.errors import Code
from triage.intake import take_inventory
from triage.verdict import Route

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Route | Code]:
    """Where each made-up patient went: its route, or the code of its refusal."""
    place = tmp_path_factory.mktemp("sample")
    inbox = make_sample_inbox(place / "inbox")
    command = [sys.executable, "-m", "triage", "run", str(inbox), "--out", str(place / "out"), "--quiet"]
    run = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stdout + run.stderr
    pseudonyms = Pseudonyms(key=load_or_create_key(place / "brain-triage-state" / "pseudonym.key"))
    return {key: _end(place / "out" / _pseudonym(inbox / key, pseudonyms)) for key in PATIENTS}


@pytest.mark.parametrize("key", PATIENTS)
def test_a_made_up_patient_ends_where_it_should(ends: Mapping[str, Route | Code], key: str) -> None:
    assert ends[key] == PATIENTS[key].expected


def _pseudonym(patient: Path, pseudonyms: Pseudonyms) -> str:
    inventory = take_inventory(patient, pseudonyms=pseudonyms)
    (only,) = (*inventory.cases, *inventory.refused)
    return only.pseudonym


def _end(folder: Path) -> Route | Code:
    report = json.loads((folder / "report.json").read_text())
    return Code(report["refusal"]["code"]) if report["refusal"] else Route(report["verdict"]["route"])
